// Writes figures, money and moments for people.

const count = new Intl.NumberFormat("en");
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export const number = (value) => count.format(value);

/** Write large figures short: 12,345 as it is, 1,234,567 as 1.23 M. */
export function short(value) {
  if (Math.abs(value) < 1e6) return number(value);
  const [divisor, letter] = Math.abs(value) < 1e9 ? [1e6, "M"] : [1e9, "bn"];
  return `${(value / divisor).toLocaleString("en", { maximumSignificantDigits: 4 })} ${letter}`;
}

/** Write US dollars: cents for people, more digits as long as there are less than a few cents. */
export function usd(value) {
  if (value === 0) return "$0";
  const size = Math.abs(value);
  const digits = size >= 0.1 ? 2 : size >= 0.001 ? 4 : Math.min(7, 1 - Math.floor(Math.log10(size)));
  if (size < 0.000001) return value < 0 ? "> -$0.000001" : "< $0.000001";
  const text = size.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: digits });
  return `${value < 0 ? "−" : ""}$${text}`;
}

export const figure = (value, unit) => (unit === "usd" ? usd(value) : short(value));

export const words = (name) => name.replaceAll("_", " ");

export const plural = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;

/** Write milliseconds. */
export function took(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** Write a length of time in its two largest units. */
export function span(seconds) {
  const rest = Math.max(0, Math.round(seconds));
  const first = UNITS.findIndex(([, size]) => rest >= size);
  if (first < 0) return "0 s";
  const [[unit, size], next] = [UNITS[first], UNITS[first + 1]];
  const more = next ? Math.floor((rest % size) / next[1]) : 0;
  return `${Math.floor(rest / size)} ${unit}${more ? ` ${more} ${next[0]}` : ""}`;
}

/** Say how far a moment is from now: "in 3 h 5 min", "12 s ago". */
export function away(moment, now = Date.now()) {
  const seconds = (Date.parse(moment) - now) / 1000;
  return seconds >= 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`;
}

/** Take "vendor/model#slot" apart. */
export function offer(text) {
  const [model, slot] = text.split("#");
  const slash = model.indexOf("/");
  return { vendor: model.slice(0, slash), model: model.slice(slash + 1), slot: slot ?? "" };
}
