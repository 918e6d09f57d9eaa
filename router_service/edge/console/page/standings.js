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
    () => el("tr", {}, el("th", { scope: "row" }), ...TIERS.map(() => el("td"))),
    (node, row) => {
      put(node.children[0], row.names, (names) => names.map((name, place) => el("span", { class: "use-case" }, `${words(name)}${place < names.length - 1 ? "," : ""}`)));
      const marks = TIERS.map((tier) => JSON.stringify([row.tiers[tier], tier === row.usual]));
      TIERS.forEach((tier, place) => {
        const cell = node.children[place + 1];
        cell.classList.toggle("usual", tier === row.usual);
        // On a small screen tiers that are served alike are told once.
        cell.classList.toggle("same", place > 0 && marks[place] === marks[place - 1]);
        const differs = marks.findIndex((mark, other) => other > place && mark !== marks[place]);
        const last = TIERS[(differs < 0 ? TIERS.length : differs) - 1];
        cell.dataset.label = last === tier ? words(tier) : `${words(tier)} – ${words(last)}`;
        put(cell, row.tiers[tier], (found) => (found?.offer
          ? [offered(offer(found.offer), found.plan === "paid" ? "" : found.plan)]
          : [el("span", { class: "nobody", title: found?.why ?? "" }, "nobody")]));
      });
    });
}
