// Puts the page together: one stream in, every part told what has changed.

import { byId, soon, write } from "./dom.js";
import * as fallbacks from "./fallbacks.js";
import { address, forget, headers, key, remember } from "./key.js";
import * as mast from "./mast.js";
import * as playground from "./playground.js";
import * as spend from "./spend.js";
import * as standings from "./standings.js";
import { Live } from "./stream.js";
import * as vendors from "./vendors.js";

const STATES = {
  live: "live",
  waiting: "connecting",
  paused: "paused while this page is not seen",
  locked: "locked",
  forbidden: "no operator",
};

const PARTS = {
  mesh: [(told) => mast.tell("mesh", told)],
  troubles: [(told) => mast.tell("troubles", told)],
  vendors: [vendors.tellOrder],
  vendor: [vendors.tellVendor, mast.again, () => soon(models)],
  standings: [standings.tell, playground.tellStandings],
  spend: [(told) => mast.tell("spend", told), vendors.tellSpend, spend.tellSpend],
  fallbacks: [fallbacks.tell],
};

let active = null;

/** Ask for the models again when other vendors are active than before. */
async function models() {
  const now = vendors.all().filter((vendor) => vendor.status === "active").map((vendor) => vendor.id);
  if (String(now) === active) return;
  active = String(now);
  playground.tellVendors(now);
  await list();
}

async function list() {
  const response = await fetch(address("v1/models"), { headers: headers() });
  if (!response.ok) {
    active = null;
    return;
  }
  const { data } = await response.json();
  spend.tellModels(data);
  playground.tellModels(data);
}

function state(word) {
  const live = byId("live");
  live.dataset.state = word;
  write(live, STATES[word]);
  const shut = word === "locked" || word === "forbidden";
  if (shut || word === "live") {
    byId("door").hidden = !shut;
    byId("state").hidden = shut;
    byId("playground").hidden = word === "locked";
    byId("forget").hidden = !key();
  }
  if (word === "locked") locked();
  if (word === "forbidden") forbidden();
}

function locked() {
  write(byId("now"), key() ? "This key does not open the mesh." : "This mesh asks for a key.");
  active = null;
  byId("key").focus();
}

function forbidden() {
  write(byId("now"), "This key may ask, but not look: the state of the mesh is for keys with the scope operator.");
  list();
}

const live = new Live({
  url: address("console/events"),
  headers,
  told: (event, content) => PARTS[event]?.forEach((part) => part(content)),
  state,
});

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  remember(byId("key").value.trim());
  byId("key").value = "";
  live.stop();
  live.start();
});

byId("forget").addEventListener("click", () => {
  forget();
  location.reload();
});

vendors.onTry(playground.choose);
live.start();
