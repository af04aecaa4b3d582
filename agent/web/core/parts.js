// Parts that several views share: the heading, signs of states, values.

import { el, find, mark, show, text } from "./dom.js";
import { age, nameOf, number, quantity, said, unit } from "./format.js";
import { t } from "./i18n.js";
import { reasonWords } from "./trouble.js";

const PACE = 15000; // milliseconds over which a rate is taken

// The heading of a view: {title, crumbs: [[words, address]], chips: elements, actions: elements}
export function heading({ title, crumbs = [], chips = [], actions = [] }) {
  const head = find("head");
  const path = crumbs.map(([words, address]) => [el("a", { href: address }, words), el("span", { "aria-hidden": "true" }, " / ")]);
  head.replaceChildren(
    el("div", { class: "titles" }, crumbs.length ? el("span", { class: "crumbs" }, path) : null, el("h1", {}, title), chips),
    el("div", { class: "actions" }, actions),
  );
  show(head, true);
}

export const button = (words, run, properties = {}) => el("button", { type: "button", onclick: run, ...properties }, words);
export const plain = (words, run, properties = {}) => button(words, run, { class: "plain", ...properties });
export const inline = (words, run, properties = {}) => button(words, run, { class: "text", ...properties });
export const anchor = (words, href, properties = {}) => el("a", { href, ...properties }, words);

// A card with its title.
export const card = (title, ...content) => el("section", { class: "card", "aria-label": title }, el("h2", {}, title), content);

// Where it is told what went wrong.
export const trouble = () => el("p", { class: "error", role: "alert" });

export const searchBox = (run, properties = {}) => el("input", { type: "search", placeholder: t("search"), "aria-label": t("search"), oninput: () => run(), ...properties });

// Links between the parts of a place; `place` is its address.
export const tabs = (place, names, now) => el("nav", { class: "tabs", "aria-label": t(`place.${place}`) }, names.map((name) => anchor(t(`${place}.${name}`), `#/${place}/${name}`, name === now ? { "aria-current": "page" } : {})));

// How much was delivered in a second of late, from counts as they come: `const rate = pace(); rate(count)`.
export function pace() {
  const past = [];
  return (count) => {
    const now = Date.now();
    past.push([now, count]);
    while (past.length > 2 && now - past[0][0] > PACE) past.shift();
    const seconds = (now - past[0][0]) / 1000;
    return seconds < 1 ? null : Math.max(0, (count - past[0][1]) / seconds);
  };
}

export const sign = () => el("span", { class: "sign" });
export const tell = (element, { kind, word }) => mark(element, `sign ${kind}`, word);

// The values that matter first: those with a name in the catalogue, in the order in which they came.
const MINOR = new Set(["battery", "battery_voltage", "perfusion_index", "spo2_fast", "spo2_slow", "heart_rate_fast", "heart_rate_slow", "signal_quality", "energy_expended", "time_offset", "board_time", "pulse_amplitude"]);

const MISSED = 20; // readings without a value after which it is one of the past

const past = (kept) => kept.missed > MISSED;

export function mainValues(values, most) {
  const names = [...(values?.latest.keys() ?? [])];
  const major = names.filter((name) => !MINOR.has(name));
  const old = (name) => Number(past(values.latest.get(name)));
  return (major.length ? major : names).sort((one, other) => old(one) - old(other)).slice(0, most);
}

// A <div> with name, value and unit: `valueBox()` makes it, `showValue` fills it.
export const valueBox = () => el("div", {}, el("dt"), el("dd", {}, el("span"), el("small")));

export function showValue(box, name, kept, out) {
  const [term, detail] = box.children;
  text(term, nameOf(name));
  term.title = name;
  mark(detail.children[0], out ? "bad" : "", number(kept.value));
  const side = out ? t(out[0], { limit: quantity(out[1], kept.unit) }) : "";
  text(detail.children[1], kept.value === null ? reasonWords(kept.reason) : [unit(kept.unit), side, past(kept) ? age(kept.time) : ""].filter(Boolean).join(" "));
  detail.title = kept.unit ? `UCUM ${kept.unit}` : "";
}

export function fill(list, boxes) {
  while (list.children.length > boxes) list.lastElementChild.remove();
  while (list.children.length < boxes) list.append(valueBox());
}

// What failed, in words.
export const failed = (error) => (error.words ? said(error.words) : error.name === "TimeoutError" ? t("slow") : t("unreachable"));
