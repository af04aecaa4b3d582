// Elements and words. Data only ever becomes text, never markup.

export const find = (id) => document.getElementById(id);

// el("p", {class: "note", onclick: f, hidden: true}, "text", another)
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function text(element, words) {
  const wanted = words === null || words === undefined ? "" : String(words);
  if (element.textContent !== wanted) element.textContent = wanted;
}

export function mark(element, name, words) {
  if (element.className !== name) element.className = name;
  text(element, words);
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

// The pairs of a <dl>: [[name, value], ...]; entries without a value are left out, those that stay are kept.
export function pairs(list, entries) {
  const wanted = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  while (list.children.length > wanted.length) list.lastElementChild.remove();
  while (list.children.length < wanted.length) list.append(el("div", {}, el("dt"), el("dd")));
  wanted.forEach(([name, value], at) => {
    text(list.children[at].firstElementChild, name);
    text(list.children[at].lastElementChild, value);
  });
}

// Cards by name: made when new, updated, removed; those that stay keep their focus.
export function keep(list, cards, entries, nameOf, make) {
  const names = new Set(entries.map(nameOf));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.element.remove();
    card.end?.();
    cards.delete(name);
  }
  for (const entry of entries) {
    const name = nameOf(entry);
    if (!cards.has(name)) {
      const card = make(entry);
      cards.set(name, card);
      list.append(card.element);
    }
    cards.get(name).update(entry);
  }
}

export function say(words) {
  find("say").textContent = words;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export const moment = (time) => (time ? new Date(time).toLocaleString() : "");

export const words = (name) => String(name).replaceAll("_", " ");

export function number(value) {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(5)));
}

const UNITS = { "mm[Hg]": "mmHg", "/min": "/min", Cel: "°C", "[degF]": "°F", "{raw}": "", "1": "", "[g]": "g", "ug/m3": "µg/m³" };
export const unit = (code) => (code in UNITS ? UNITS[code] : (code ?? ""));
