// The last requests that another than the first choice served.

import { byId, each, el, put, write } from "./dom.js";
import { offered } from "./signs.js";
import { time } from "./times.js";
import { offer, words } from "./words.js";

/** Those that were alike become one, told by the last of them and how many they were. */
export function tell(told) {
  const alike = new Map();
  for (const each_ of told) {
    const mark = [each_.use_case, each_.tier, each_.wanted, each_.offer, each_.reason].join();
    const known = alike.get(mark);
    if (known) known.times += 1;
    else alike.set(mark, { ...each_, times: 1, mark });
  }
  const fallbacks = [...alike.values()];
  byId("fallbacks").hidden = fallbacks.length === 0;
  byId("no-fallbacks").hidden = fallbacks.length > 0;
  each(byId("fallback-rows"), fallbacks, (each_) => each_.mark, make, (row, each_) => {
    put(row.firstElementChild, each_.at, (at) => [time(at)]);
    write(row.lastElementChild, each_.times > 1 ? `${each_.times} times` : "once");
  });
}

function make({ use_case: useCase, tier, wanted, offer: served, reason }) {
  return el("tr", {},
    el("td"),
    el("td", { "data-label": "For" }, `${words(useCase)}, ${words(tier)}`),
    el("td", { "data-label": "Wanted" }, wanted ? offered(offer(wanted)) : "–"),
    el("td", { "data-label": "Served" }, offered(offer(served))),
    el("td", { "data-label": "Because" }, words(reason)),
    el("td", { class: "number" }));
}
