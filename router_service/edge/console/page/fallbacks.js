// The last requests that another than the first choice served.

import { byId, each, el } from "./dom.js";
import { offered } from "./signs.js";
import { time } from "./times.js";
import { offer, words } from "./words.js";

export function tell(fallbacks) {
  byId("fallbacks").hidden = fallbacks.length === 0;
  byId("no-fallbacks").hidden = fallbacks.length > 0;
  each(byId("fallback-rows"), fallbacks, (each_) => `${each_.at} ${each_.offer}`, make, () => {});
}

function make({ at, use_case: useCase, tier, wanted, offer: served, reason }) {
  return el("tr", {},
    el("td", { "data-label": "When" }, time(at)),
    el("td", { "data-label": "For" }, `${words(useCase)}, ${words(tier)}`),
    el("td", { "data-label": "Wanted" }, wanted ? offered(offer(wanted)) : "–"),
    el("td", { "data-label": "Served" }, offered(offer(served))),
    el("td", { "data-label": "Because" }, words(reason)));
}
