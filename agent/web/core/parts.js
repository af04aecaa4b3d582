// Parts that several views share: the heading, signs of states, values.

import { el, find, mark, show, text } from "./dom.js";
import { nameOf, number, quantity, said, unit } from "./format.js";
import { t } from "./i18n.js";
import { reasonWords } from "./trouble.js";

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
export const anchor = (words, href, properties = {}) => el("a", { href, ...properties }, words);

export const sign = () => el("span", { class: "sign" });
export const tell = (element, { kind, word }) => mark(element, `sign ${kind}`, word);

// The values that matter first: those with a name in the catalogue, in the order in which they came.
const MINOR = new Set(["battery", "battery_voltage", "perfusion_index", "spo2_fast", "spo2_slow", "heart_rate_fast", "heart_rate_slow", "signal_quality", "energy_expended", "time_offset", "board_time", "pulse_amplitude"]);

export function mainValues(values, most) {
  const names = [...(values?.latest.keys() ?? [])];
  const major = names.filter((name) => !MINOR.has(name));
  return (major.length ? major : names).slice(0, most);
}

// A <div> with name, value and unit: `valueBox()` makes it, `showValue` fills it.
export const valueBox = () => el("div", {}, el("dt"), el("dd", {}, el("span"), el("small")));

export function showValue(box, name, kept, out) {
  const [term, detail] = box.children;
  text(term, nameOf(name));
  term.title = name;
  mark(detail.children[0], out ? "bad" : "", number(kept.value));
  const side = out ? t(out[0], { limit: quantity(out[1], kept.unit) }) : "";
  text(detail.children[1], kept.value === null ? reasonWords(kept.reason) : [unit(kept.unit), side].filter(Boolean).join(" "));
  detail.title = kept.unit ? `UCUM ${kept.unit}` : "";
}

export function fill(list, boxes) {
  while (list.children.length > boxes) list.lastElementChild.remove();
  while (list.children.length < boxes) list.append(valueBox());
}

// What failed, in words.
export const failed = (error) => (error.words ? said(error.words) : error.name === "TimeoutError" ? t("slow") : t("unreachable"));
