// Cost by day and vendor as small bars, and what today's answers would have cost elsewhere.

import { byId, drawn, each, el, put, write } from "./dom.js";
import { number, plural, usd } from "./words.js";

const WIDTH = 13;
const GAP = 3;
const HEIGHT = 28;
const CHOSEN = "llm-mesh baseline";

let spend = null;
let models = [];

export function tellSpend(told) {
  spend = told;
  rows();
  saved();
}

/** Take in the models that may be compared with: those with a price. */
export function tellModels(listed) {
  models = listed.filter((model) => model.usable && model.model_class !== "embedding" && model.input_usd_per_1m > 0 && model.output_usd_per_1m !== null);
  put(byId("baseline"), models.map((model) => model.id), (ids) => ids.map((id) => el("option", { value: id }, id)));
  const wanted = localStorage.getItem(CHOSEN);
  const dearest = models.reduce((most, model) => (!most || price(model) > price(most) ? model : most), null);
  const first = models.find((model) => model.id === wanted) ?? dearest;
  if (first) byId("baseline").value = first.id;
  saved();
}

// As everywhere in the mesh: three parts input, one part output.
const price = (model) => (3 * model.input_usd_per_1m + model.output_usd_per_1m) / 4;

byId("baseline").addEventListener("change", () => {
  localStorage.setItem(CHOSEN, byId("baseline").value);
  saved();
});

function rows() {
  const sum = (costs) => costs.reduce((total, cost) => total + cost, 0);
  const paid = spend.vendors.map((row) => ({ ...row, total: sum(row.cost_usd) })).sort((a, b) => b.total - a.total || a.vendor.localeCompare(b.vendor));
  const shown = paid.filter((row) => row.total > 0);
  const most = Math.max(0, ...shown.flatMap((row) => row.cost_usd));
  document.querySelector("table.spend").hidden = shown.length === 0;
  byId("no-spend").hidden = shown.length > 0;
  each(byId("spend-rows"), shown, (row) => row.vendor, (row) => line(row.vendor), (node, row) => fill(node, row.cost_usd, row.total, most));
  const days = spend.days.map((_, place) => sum(shown.map((row) => row.cost_usd[place])));
  each(byId("spend-total"), [{ vendor: "all" }], (row) => row.vendor, () => line("All"), (node) => fill(node, days, sum(days), Math.max(0, ...days)));
}

function line(name) {
  return el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "days", "data-label": "Cost by day" }),
    el("td", { class: "number", "data-label": "Today" }), el("td", { class: "number", "data-label": "14 days" }));
}

function fill(node, costs, total, most) {
  put(node.children[1], [costs, most, spend.days], () => [chart(costs, most)]);
  write(node.children[2], costs.at(-1) ? usd(costs.at(-1)) : "–");
  write(node.children[3], usd(total));
}

function chart(costs, most) {
  const bars = costs.map((cost, place) => {
    const height = cost > 0 ? Math.max(1.5, (cost / most) * (HEIGHT - 2)) : 0;
    return [
      drawn("rect", { x: place * (WIDTH + GAP), y: HEIGHT - 1, width: WIDTH, height: 1, class: "ground" }),
      drawn("rect", { x: place * (WIDTH + GAP), y: HEIGHT - height, width: WIDTH, height, class: place === costs.length - 1 ? "day today" : "day" },
        drawn("title", {}, `${spend.days[place]}: ${usd(cost)}`)),
    ];
  });
  const highest = costs.indexOf(Math.max(...costs));
  const label = `the most was ${usd(costs[highest])} on ${spend.days[highest]}`;
  const width = costs.length * (WIDTH + GAP) - GAP;
  return drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": label }, ...bars.flat());
}

function saved() {
  const model = models.find((each_) => each_.id === byId("baseline").value);
  const line_ = byId("saved");
  line_.hidden = !spend || !model;
  if (line_.hidden) return;
  const { served, input_tokens: input, output_tokens: output, paid_usd: paid } = spend.today;
  const baseline = (input * model.input_usd_per_1m + output * model.output_usd_per_1m) / 1e6;
  const difference = baseline - paid;
  const share = baseline > 0 ? ` (${((100 * difference) / baseline).toFixed(1)} %)` : "";
  write(line_.children[0], `Today ${plural(served, "answer")} of ${number(input)} tokens in and ${number(output)} out cost ${usd(paid)}. At the list price of`);
  put(line_.children[3], [baseline, difference, share], () => [`they would have cost ${usd(baseline)}: `,
    el("b", { id: "difference" }, `${difference >= 0 ? "saved" : "lost"} ${usd(Math.abs(difference))}${share}`), "."]);
}
