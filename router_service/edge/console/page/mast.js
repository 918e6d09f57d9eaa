// The head of the page: whether the mesh serves and who, what is left, what is wrong.

import { byId, each, el, put, soon, write } from "./dom.js";
import { time } from "./times.js";
import { all } from "./vendors.js";
import { number, short, usd, words } from "./words.js";

const LEFT = [
  ["requests_per_day_left", "requests left today", number],
  ["tokens_per_day_left", "tokens left today", short],
  ["requests_per_month_left", "requests left this month", number],
  ["tokens_per_month_left", "tokens left this month", short],
  ["credit_usd_left", "credit left", usd],
];

const known = { mesh: null, spend: null, troubles: {} };

/** Take in a section. */
export function tell(section, content) {
  known[section] = content;
  soon(show);
}

/** Vendors have changed. */
export const again = () => soon(show);

function show() {
  if (!known.mesh) return;
  put(byId("now"), sentence(), say);
  figures();
  warnings();
  document.title = `${known.mesh.can_serve ? "" : "! "}llm-mesh`;
}

function sentence() {
  const { can_serve, problem, serving, use_case } = known.mesh;
  return { can_serve, problem, serving, use_case };
}

function say({ can_serve, problem, serving, use_case }) {
  if (!can_serve) return ["Nothing can serve: ", problem || "no reason is known", "."];
  const [first, ...rest] = serving;
  const made = ["A request for ", el("b", {}, words(use_case)), " goes to ", el("b", { class: "who" }, first.replace(/#1$/, ""))];
  if (rest.length) made.push(el("span", { class: "soft" }, `, then ${rest[0].replace(/#1$/, "")}`));
  return [...made, "."];
}

function figures() {
  const { totals, local_fallback } = known.mesh;
  const rows = LEFT.filter(([name]) => totals[name]).map(([name, label, write_]) => ({ label, value: write_(totals[name]) }));
  if (known.spend) rows.push({ label: "spent today", value: usd(known.spend.today.paid_usd) });
  if (known.spend) rows.push({ label: "answers today", value: number(known.spend.today.served) });
  rows.push({ label: "local fallback", value: local(local_fallback), since: local_fallback.active ? local_fallback.since : null });
  each(byId("figures"), rows, (row) => row.label,
    (row) => el("div", {}, el("dt", {}, row.label), el("dd")),
    (node, row) => put(node.lastElementChild, [row.value, row.since], ([value, since]) => (since ? [value, " ", time(since)] : [value])));
}

function local({ active }) {
  if (active) return "active";
  return all().some((vendor) => vendor.group === "local" && vendor.status === "active") ? "ready" : "none";
}

function warnings() {
  const told = [...known.mesh.warnings, ...Object.entries(known.troubles).map(([part, why]) => `${part}: ${why}`)];
  const list = byId("warnings");
  list.hidden = told.length === 0;
  each(list, [...new Set(told)], (text) => text, () => el("li"), write);
}
