// Asks the mesh as any caller does, and shows the answer as it comes and the route it took.

import { byId, each, el, put, write } from "./dom.js";
import { address, headers } from "./key.js";
import { offered, state } from "./signs.js";
import { events } from "./stream.js";
import { number, offer, took, usd, words } from "./words.js";

const known = { standings: [], vendors: [], models: [] };
let asking = null;

export function tellStandings(standings) {
  known.standings = standings;
  choices();
}

export function tellVendors(ids) {
  known.vendors = ids;
  choices();
}

export function tellModels(models) {
  known.models = models.filter((model) => model.usable && model.status === "active");
  choices();
}

/** Choose a vendor and lead there. */
export function choose(vendor) {
  byId("model").value = vendor;
  byId("playground").scrollIntoView({ block: "nearest" });
  byId("prompt").focus();
}

/** Offer who may answer: the mesh, by use case; a vendor; a model. */
function choices() {
  const vectors = new Set(known.models.filter((model) => model.model_class === "embedding").map((model) => model.id));
  const answers = known.models.filter((model) => !vectors.has(model.id));
  const purposes = known.standings.filter((row) => !Object.values(row.tiers).some((found) => found.offer && vectors.has(found.offer.split("#")[0])));
  const ids = known.vendors.length ? known.vendors : [...new Set(answers.map((model) => model.owned_by))];
  const groups = [
    ["The mesh chooses", [["auto", "auto"], ...purposes.map((row) => [`use_case:${row.use_case}`, `use_case:${row.use_case}`])]],
    ["A vendor", ids.map((id) => [id, id])],
    ...ids.map((id) => [`Models of ${id}`, answers.filter((model) => model.owned_by === id).map((model) => [model.id, model.id])]),
  ].filter(([, options]) => options.length);
  const chosen = byId("model").value;
  put(byId("model"), groups, () => groups.map(([label, options]) => el("optgroup", { label }, ...options.map(([value, text]) => el("option", { value }, text)))));
  byId("model").value = chosen;
  if (byId("model").selectedIndex < 0) byId("model").value = "auto";
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("ask").requestSubmit();
});
byId("stop").addEventListener("click", () => asking?.abort());

async function ask() {
  asking?.abort();
  const abort = (asking = new AbortController());
  const screen = new Screen();
  try {
    await follow(abort, screen);
  } catch (error) {
    screen.failed(abort.signal.aborted ? "You stopped it." : `The mesh does not answer: ${error.message}.`);
  } finally {
    screen.end();
    if (asking === abort) asking = null;
  }
}

async function follow(abort, screen) {
  const tier = byId("tier").value;
  const body = {
    model: byId("model").value,
    messages: [{ role: "user", content: byId("prompt").value }],
    stream: true,
    stream_options: { include_usage: true },
    ...(tier ? { llm_mesh: { tier } } : {}),
  };
  const response = await fetch(address("v1/chat/completions"), {
    method: "POST",
    headers: { ...headers(), "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: abort.signal,
  });
  if (!response.ok) return screen.refused((await response.json()).error);
  for await (const { data } of events(response)) {
    if (data === "[DONE]") return screen.done();
    const chunk = JSON.parse(data);
    if (chunk.error) return screen.refused(chunk.error);
    screen.take(chunk);
  }
  screen.failed("The answer broke off: it has no end.");
}

/** What is shown of one answer. */
class Screen {
  #began = performance.now();
  #first = null;
  #usage = null;
  #mesh = null;
  #finish = "";
  #clock;

  constructor() {
    this.#clock = setInterval(() => this.#tick(), 100);
    byId("send").disabled = true;
    byId("stop").hidden = false;
    byId("answer").hidden = false;
    byId("answer").dataset.state = "coming";
    byId("route").hidden = true;
    write(byId("outcome"), "");
    byId("outcome").className = "";
    for (const part of byId("answer").children) write(part, "");
    byId("answer").firstElementChild.hidden = true;
  }

  take(chunk) {
    const [thoughts, text] = byId("answer").children;
    for (const choice of chunk.choices) {
      if (choice.delta.reasoning_content) this.#add(thoughts, choice.delta.reasoning_content);
      if (choice.delta.content) this.#add(text, choice.delta.content);
      if (choice.delta.refusal) this.#add(text, choice.delta.refusal);
      this.#finish = choice.finish_reason ?? this.#finish;
    }
    this.#usage = chunk.usage ?? this.#usage;
    this.#mesh = chunk.llm_mesh ?? this.#mesh;
  }

  done() {
    const whole = performance.now() - this.#began;
    const { offer: served, cost_usd: cost } = this.#mesh;
    const tokens = this.#usage ? `, ${number(this.#usage.prompt_tokens)} tokens in and ${number(this.#usage.completion_tokens)} out` : "";
    byId("outcome").className = "good";
    write(byId("outcome"), `${served.replace(/#1$/, "")} answered in ${took(whole)}${tokens}, for ${usd(cost)}.${this.#finish === "length" ? " It was cut at its longest." : ""}`);
    this.#route(this.#mesh);
  }

  /** The mesh says why not. */
  refused(error) {
    this.failed(`${error.message.replace(/\.$/, "")}.`);
    if (error.llm_mesh?.attempts) this.#route(error.llm_mesh);
  }

  failed(words_) {
    byId("outcome").className = "bad";
    write(byId("outcome"), words_);
  }

  end() {
    clearInterval(this.#clock);
    byId("answer").dataset.state = "over";
    byId("answer").hidden = !byId("answer").textContent;
    byId("send").disabled = false;
    byId("stop").hidden = true;
    write(byId("elapsed"), "");
  }

  #add(node, piece) {
    this.#first ??= performance.now() - this.#began;
    const box = byId("answer");
    const follows = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
    node.hidden = false;
    if (node.lastChild) node.lastChild.appendData(piece);
    else node.append(piece);
    if (follows) box.scrollTop = box.scrollHeight;
  }

  #tick() {
    write(byId("elapsed"), `${((performance.now() - this.#began) / 1000).toFixed(1)} s`);
  }

  #route(mesh) {
    byId("route").hidden = false;
    each(byId("route").querySelector("tbody"), mesh.attempts.map((attempt, place) => ({ ...attempt, place })), (attempt) => `${attempt.place} ${this.#began}`,
      (attempt) => el("tr", {},
        el("th", { scope: "row" }, offered(offer(attempt.offer), attempt.plan), el("div", {}, state(attempt.outcome), attempt.reason ? el("span", { class: "soft" }, ` ${words(attempt.reason.toLowerCase())}`) : null)),
        el("td", { class: "number", "data-label": "First piece" }, attempt.first_token_ms === null ? "–" : took(attempt.first_token_ms)),
        el("td", { class: "number", "data-label": "Took" }, took(attempt.duration_ms)),
        el("td", { class: "number", "data-label": "Cost" }, usd(attempt.cost_usd))), () => {});
    put(byId("route").querySelector("dl"), [this.#began, mesh], () => facts(mesh, this.#first).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }
}

/** What else is known of a route, as pairs. */
function facts(mesh, first) {
  const skipped = Object.entries(mesh.skipped ?? {}).map(([reason, times]) => `${words(reason)}${times > 1 ? ` × ${number(times)}` : ""}`).join(", ");
  const passed = (mesh.passed_over ?? []).map((each_) => `${each_.offer}: ${words(each_.reason)} (${each_.budget})`).join("; ");
  const spared = mesh.list_cost_usd > (mesh.cost_usd ?? 0) ? `${usd(mesh.list_cost_usd - mesh.cost_usd)} of list price` : "";
  const warnings = (mesh.warnings ?? []).map((each_) => each_.message).join("; ");
  return [
    ["for", `${words(mesh.use_case ?? "")}, ${words(mesh.tier ?? "")}`],
    ["first piece here", first === null ? "" : took(first)],
    ["all attempts cost", mesh.attempts.length > 1 ? usd(mesh.total_cost_usd) : ""],
    ["spared", spared],
    ["first choice did not", mesh.primary_error ?? ""],
    ["had no room", passed],
    ["left out", skipped],
    ["note", warnings],
  ].filter(([, value]) => value);
}
