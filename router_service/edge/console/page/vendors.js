// One row for each vendor that has a key, with its quotas as bars; the others in a line that can be opened.

import { byId, each, el, put, soon, write } from "./dom.js";
import { breaker, state } from "./signs.js";
import { time } from "./times.js";
import { figure, number, plural, usd, words } from "./words.js";

const PERIODS = { day: "per day", month: "per month", once: "credit" };
// Of a vendor with these reasons there is nothing to see.
const ABSENT = ["not_configured", "retired", "disabled"];

const known = new Map();
let order = [];
let spent = null;
let tried = () => {};

/** Say what happens when a vendor is to be tried. */
export function onTry(call) {
  tried = call;
}

export function tellOrder(ids) {
  order = ids;
  soon(show);
}

export function tellVendor(vendor) {
  known.set(vendor.id, vendor);
  soon(show);
}

export function tellSpend(spend) {
  spent = spend;
  soon(show);
}

/** The vendors as they are now, in their order. */
export const all = () => order.map((id) => known.get(id)).filter(Boolean);

function show() {
  const listed = all();
  const present = listed.filter((vendor) => !ABSENT.includes(vendor.reason_code));
  each(byId("vendor-rows"), present, (vendor) => vendor.id, make, update);
  const absent = listed.filter((vendor) => ABSENT.includes(vendor.reason_code));
  const others = byId("others");
  others.hidden = absent.length === 0;
  write(others.querySelector("summary"), `${plural(absent.length, "vendor")} without a key or ended`);
  each(others.querySelector("ul"), absent, (vendor) => vendor.id, () => el("li"), (node, vendor) => write(node, `${vendor.name}: ${vendor.reason}`));
}

function make(vendor) {
  const button = el("button", { type: "button", class: "quiet try", "aria-label": `Try ${vendor.name} in the playground` }, "Try");
  button.addEventListener("click", () => tried(vendor.id));
  return el("tr", {},
    el("th", { scope: "row" }, el("span", { class: "name" }, vendor.name), button, el("div", { class: "standing" }), el("div", { class: "slots" })),
    el("td", { class: "breakers", "data-label": "Breaker" }),
    el("td", { class: "quotas", "data-label": "Quotas" }, el("div", { class: "bars" }), el("details", { class: "budgets", hidden: true },
      el("summary"), el("table", {}, el("caption", { class: "unseen" }, `Budgets of ${vendor.name} that are in use`),
        el("thead", {}, el("tr", {}, ...["Budget", "used", "held", "left", "resets"].map((name, place) =>
          el("th", { scope: "col", class: place ? "number" : null }, name)))), el("tbody")))),
    el("td", { class: "number today", "data-label": "Today" }));
}

function update(row, vendor) {
  put(row.querySelector(".standing"), [vendor.status, vendor.models, plans(vendor)], ([status, models, plan]) =>
    [state(status), el("span", { class: "soft" }, ` ${plan}${plan ? " · " : ""}${plural(models, "model")}`)]);
  put(row.querySelector(".slots"), [vendor.reason, noteworthy(vendor)], slots);
  put(row.querySelector(".breakers"), vendor.breakers, (breakers) => switches(vendor.id, breakers));
  each(row.querySelector(".bars"), vendor.quotas, (quota) => `${quota.unit}/${quota.window}`, bar, fill);
  const bars = row.querySelector(".bars");
  bars.dataset.none = vendor.quotas.length ? "" : vendor.status === "active" ? "no quota by day or month" : "–";
  budgets(row.querySelector(".budgets"), vendor);
  const today = spent?.vendors.find((each_) => each_.vendor === vendor.id);
  put(row.querySelector(".today"), [today?.cost_usd.at(-1) ?? 0, today?.requests_today ?? 0], ([cost, requests]) =>
    requests || cost ? [el("div", {}, usd(cost)), el("div", { class: "soft" }, plural(requests, "request"))] : [el("span", { class: "soft" }, "–")]);
}

function plans(vendor) {
  const usable = vendor.slots.filter((slot) => ["active", "cooling"].includes(slot.state));
  const kinds = [...new Set(usable.map((slot) => slot.plan))].join(" + ");
  if (usable.length < 2) return kinds;
  return `${plural(usable.length, "key")}: ${kinds}`;
}

/** What of a vendor's keys is not as it should be, and what it has closed. */
function noteworthy(vendor) {
  const slots_ = vendor.slots.filter((slot) => slot.state !== "active" && slot.state !== "missing")
    .map((slot) => [slot.state, `key ${slot.slot}`, slot.until]);
  const closed = vendor.closures.filter((closure) => closure.subject.split("/").length > 2)
    .map((closure) => ["cooling", `${closure.subject.split("/").slice(2).join("/")} (${closure.reason})`, closure.until]);
  return [...slots_, ...closed];
}

function slots([reason, odd]) {
  const lines = odd.map(([word, what, until]) => el("div", {}, state(word), el("span", { class: "soft" }, ` ${what} `), until ? time(until, "again ") : null));
  return [reason ? el("div", { class: "reason" }, reason) : null, ...lines];
}

/** The breaker of the endpoint, and those of its offers that are not closed. */
function switches(id, breakers) {
  const own = breakers.find((each_) => each_.subject === id) ?? { state: "closed" };
  const offers = breakers.filter((each_) => each_.subject !== id);
  return [lever(own, ""), ...offers.map((each_) => lever(each_, each_.subject.slice(id.length + 1)))];
}

function lever({ state: word, probe_at: probe }, model) {
  return el("div", { class: model ? "of-offer" : null }, breaker(word), model ? el("span", { class: "soft" }, ` ${model}`) : null,
    probe ? el("span", { class: "soft probe" }, "tried again ", time(probe)) : null,
    word === "open" && !probe ? el("span", { class: "soft probe" }, "the next call tries it") : null);
}

function bar() {
  return el("div", { class: "quota" }, el("span", { class: "unit" }),
    el("span", { class: "bar", "aria-hidden": "true" }, el("span", { class: "used" }), el("span", { class: "held" })),
    el("span", { class: "figures-of" }), el("span", { class: "resets soft" }));
}

function fill(node, { unit, window, limit, used, held, left, resets_at: resets }) {
  const [name, drawing, figures, when] = node.children;
  write(name, unit === "usd" ? (window === "once" ? "credit" : `US$ ${PERIODS[window]}`) : `${unit} ${PERIODS[window]}`);
  const share = (value) => (value > 0 && limit > 0 ? `max(2px, ${Math.min(100, (100 * value) / limit)}%)` : "0");
  drawing.children[0].style.width = share(used);
  drawing.children[1].style.width = share(held);
  node.classList.toggle("full", left <= 0);
  put(figures, [used, held, left, unit], () => [
    `${figure(used, unit)} used · ${held ? `${figure(held, unit)} held · ` : ""}`, el("b", {}, `${figure(left, unit)} left`), ` of ${figure(limit, unit)}`]);
  put(when, [resets, window], () => (resets ? [time(resets, "resets ")] : [window === "once" ? "never resets" : "slides"]));
}

function budgets(details, vendor) {
  details.hidden = vendor.budgets.length === 0;
  write(details.querySelector("summary"), `${plural(vendor.budgets.length, "budget")} in use`);
  each(details.querySelector("tbody"), vendor.budgets, (budget) => budget.id,
    () => el("tr", {}, el("th", { scope: "row" }), ...["used", "held", "left"].map(() => el("td", { class: "number" })), el("td", { class: "number" })),
    (row, budget) => {
      const [name, ...cells] = row.children;
      write(name, budget.id.slice(vendor.id.length + 1));
      ["used", "held", "left"].forEach((word, place) => write(cells[place], figure(budget[word], budget.unit)));
      put(cells[3], budget.resets_at, (moment) => (moment ? [time(moment)] : ["slides"]));
    });
}
