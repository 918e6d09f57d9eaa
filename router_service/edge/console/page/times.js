// Moments that are told by how far they are away, kept right while the page is seen.

import { el, write } from "./dom.js";
import { away } from "./words.js";

/** Make the element of a moment; `before` stands in front of it. */
export function time(moment, before = "") {
  const made = el("time", { datetime: moment, title: moment.replace("T", " ").replace(/(\.\d+)?(Z|\+00:00)$/, " UTC") });
  made.dataset.before = before;
  tell(made);
  return made;
}

function tell(node) {
  write(node, `${node.dataset.before}${away(node.dateTime)}`);
}

setInterval(() => {
  if (!document.hidden) document.querySelectorAll("time[data-before]").forEach(tell);
}, 1000);
