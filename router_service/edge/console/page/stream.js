// Server-sent events over fetch(): unlike EventSource it sends the key in a header, where no log finds it.

/** Give the events of a response as {event, data}; comments count for nothing but the life they show. */
export async function* events(response, alive = () => {}) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      text += value;
      let end;
      while ((end = text.indexOf("\n\n")) >= 0) {
        const told = read(text.slice(0, end));
        text = text.slice(end + 2);
        if (told.data !== null) yield told;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function read(block) {
  const told = { event: "message", data: null };
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) told.event = line.slice(7);
    if (line.startsWith("data: ")) told.data = (told.data === null ? "" : `${told.data}\n`) + line.slice(6);
  }
  return told;
}

const QUIETEST = 45_000; // a server that says nothing for so long, not even a comment, is gone
const SOONEST = 1_000;
const LATEST = 15_000;

/** Follows one stream as long as the page is seen; opens it again, ever more slowly, when it breaks. */
export class Live {
  #url;
  #headers;
  #told;
  #state;
  #wait = SOONEST;
  #abort = null;
  #again = null;

  constructor({ url, headers, told, state }) {
    this.#url = url;
    this.#headers = headers;
    this.#told = told;
    this.#state = state;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : this.start()));
    addEventListener("pagehide", () => this.#pause());
    addEventListener("pageshow", (event) => event.persisted && this.start());
  }

  start() {
    if (this.#abort || document.hidden) return;
    clearTimeout(this.#again);
    this.#abort = new AbortController();
    this.#follow(this.#abort);
  }

  stop() {
    clearTimeout(this.#again);
    this.#abort?.abort();
    this.#abort = null;
  }

  #pause() {
    this.stop();
    this.#state("paused");
  }

  async #follow(abort) {
    let quiet;
    const alive = () => {
      clearTimeout(quiet);
      quiet = setTimeout(() => abort.abort(), QUIETEST);
    };
    try {
      alive();
      const response = await fetch(this.#url, { headers: this.#headers(), signal: abort.signal, cache: "no-store" });
      if (response.status === 401 || response.status === 403) {
        if (this.#abort === abort) this.#abort = null;
        return this.#state(response.status === 401 ? "locked" : "forbidden");
      }
      if (!response.ok) throw new Error(`status ${response.status}`);
      for await (const { event, data } of events(response, alive)) {
        this.#wait = SOONEST;
        this.#state("live");
        this.#told(event, JSON.parse(data));
      }
    } catch (error) {
      if (!abort.signal.aborted && !(error instanceof TypeError)) console.warn("the stream broke:", error.message);
    } finally {
      clearTimeout(quiet);
    }
    if (this.#abort === abort) this.#later();
  }

  #later() {
    this.#abort = null;
    this.#state("waiting");
    this.#again = setTimeout(() => this.start(), this.#wait);
    this.#wait = Math.min(LATEST, this.#wait * 2);
  }
}
