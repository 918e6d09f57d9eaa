// Who would serve each use case at each tier; use cases that are served alike share a row.

import { byId, each, el, put } from "./dom.js";
import { offered } from "./signs.js";
import { offer, words } from "./words.js";

const TIERS = ["free", "ultra_economy", "economy", "standard", "premium"];

export function tell(standings) {
  const alike = new Map();
  for (const row of standings) {
    const mark = JSON.stringify([row.usual, row.tiers]);
    if (!alike.has(mark)) alike.set(mark, { ...row, names: [] });
    alike.get(mark).names.push(row.use_case);
  }
  each(byId("standing-rows"), [...alike.values()], (row) => row.names[0],
    () => el("tr", {}, el("th", { scope: "row" }), ...TIERS.map((tier) => el("td", { "data-label": words(tier) }))),
    (node, row) => {
      put(node.children[0], row.names, (names) => names.map((name, place) => el("span", { class: "use-case" }, `${words(name)}${place < names.length - 1 ? "," : ""}`)));
      TIERS.forEach((tier, place) => {
        const cell = node.children[place + 1];
        cell.classList.toggle("usual", tier === row.usual);
        put(cell, row.tiers[tier], (found) => (found?.offer
          ? [offered(offer(found.offer), found.plan === "paid" ? "" : found.plan)]
          : [el("span", { class: "nobody", title: found?.why ?? "" }, "nobody")]));
      });
    });
}
