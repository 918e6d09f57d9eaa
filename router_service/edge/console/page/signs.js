// Small drawings beside words: a state is never told by colour alone.

import { drawn, el } from "./dom.js";
import { words } from "./words.js";

const SHAPES = {
  full: () => [drawn("circle", { cx: 6, cy: 6, r: 4, class: "fill" })],
  hollow: () => [drawn("circle", { cx: 6, cy: 6, r: 3.6, class: "stroke" })],
  half: () => [drawn("circle", { cx: 6, cy: 6, r: 3.6, class: "stroke" }), drawn("path", { d: "M6 2.4a3.6 3.6 0 0 0 0 7.2z", class: "fill" })],
  cross: () => [drawn("path", { d: "M2.5 2.5l7 7M9.5 2.5l-7 7", class: "stroke" })],
  pause: () => [drawn("path", { d: "M4 2.5v7M8 2.5v7", class: "stroke" })],
};

// What a state of a vendor, a slot or an attempt looks like, and whether somebody should mind.
const STATES = {
  active: ["full", "good"], served: ["full", "good"],
  inactive: ["hollow", "calm"], missing: ["hollow", "calm"], retired: ["hollow", "calm"], disabled: ["hollow", "calm"],
  released: ["hollow", "calm"], cancelled: ["hollow", "calm"],
  cooling: ["pause", "warn"], exhausted: ["half", "warn"], unreachable: ["cross", "warn"], unknown: ["half", "warn"],
  rejected: ["cross", "bad"], malformed: ["cross", "bad"], no_endpoint: ["cross", "bad"], failed: ["cross", "bad"],
};

/** Make the sign of a state: its shape and its word. */
export function state(word) {
  const [shape, mood] = STATES[word] ?? ["half", "calm"];
  return el("span", { class: `sign ${mood}` },
    drawn("svg", { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" }, ...SHAPES[shape]()), words(word));
}

// A breaker is drawn as the switch it is named after: the lever lies, hangs between, or is up.
const LEVERS = {
  closed: ["M7 8h14", "good"],
  half_open: ["M7 8l12.5-4.5", "warn"],
  open: ["M7 8l10-7", "bad"],
};

/** Make the sign of a breaker: the switch and its word. */
export function breaker(word) {
  const forced = word.startsWith("forced_");
  const [lever, mood] = LEVERS[word.replace("forced_", "")] ?? LEVERS.closed;
  return el("span", { class: `sign ${mood}` },
    drawn("svg", { viewBox: "0 0 28 12", width: 28, height: 12, "aria-hidden": "true" },
      drawn("path", { d: `M0 8h5M23 8h5${forced ? "M7 11.4h14" : ""}`, class: "stroke" }),
      drawn("path", { d: lever, class: word === "half_open" ? "stroke dashed" : "stroke" }),
      drawn("circle", { cx: 6, cy: 8, r: 1.7, class: "fill" }),
      drawn("circle", { cx: 22, cy: 8, r: 1.7, class: "fill" })),
    forced ? `${word.slice(7)}, forced` : words(word));
}

/** Make an offer: its vendor, and its model in softer ink. */
export function offered({ vendor, model, slot }, more = "") {
  return el("span", { class: "offer" }, el("b", {}, vendor), more ? el("span", { class: "plan" }, ` ${more}`) : null,
    slot && slot !== "1" ? el("span", { class: "soft" }, ` key ${slot}`) : null, " ", el("span", { class: "model", title: model }, model));
}
