// Elements. Data only ever becomes text, never markup.

export const find = (id) => document.getElementById(id);

// el("p", {class: "note", onclick: f, hidden: true}, "text", another)
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function svg(tag, properties = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

export function text(element, words) {
  const wanted = words === null || words === undefined ? "" : String(words);
  if (element.textContent !== wanted) element.textContent = wanted;
}

export function mark(element, name, words) {
  if (element.className !== name) element.className = name;
  if (words !== undefined) text(element, words);
}

export function show(element, visible) {
  if (element.hidden === Boolean(visible)) element.hidden = !visible;
}

// The pairs of a <dl>: [[name, value], ...]; entries without a value are left out, those that stay are kept.
export function pairs(list, entries) {
  const wanted = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  while (list.children.length > wanted.length) list.lastElementChild.remove();
  while (list.children.length < wanted.length) list.append(el("div", {}, el("dt"), el("dd")));
  wanted.forEach(([name, value], at) => {
    text(list.children[at].firstElementChild, name);
    const place = list.children[at].lastElementChild;
    if (value instanceof Node) place.replaceChildren(value);
    else text(place, value);
  });
}

// Parts by name: made when new, updated, removed, put in the order of the entries; those that stay keep their focus.
export function keep(list, parts, entries, nameOf, make) {
  const names = new Set(entries.map(nameOf));
  for (const [name, part] of parts) {
    if (names.has(name)) continue;
    part.element.remove();
    part.end?.();
    parts.delete(name);
  }
  let before = null;
  for (const entry of entries) {
    const name = nameOf(entry);
    if (!parts.has(name)) parts.set(name, make(entry));
    const { element } = parts.get(name);
    const place = before ? before.nextSibling : list.firstChild;
    if (element !== place) list.insertBefore(element, place);
    parts.get(name).update(entry);
    before = element;
  }
}

// A table that says what it is of; cells are texts or elements.
export function table(caption, head, rows, none) {
  if (!rows.length) return el("p", { class: "empty" }, none);
  const cell = (value, at) => el("td", { "data-label": head[at] || null }, value instanceof Node ? value : String(value ?? ""));
  return el(
    "div",
    { class: "wide", tabindex: 0, role: "group", "aria-label": caption },
    el(
      "table",
      { class: "stacks plain-stack" },
      el("thead", {}, el("tr", {}, head.map((name) => (name ? el("th", { scope: "col" }, name) : el("td"))))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))),
    ),
  );
}

export function say(words) {
  find("say").textContent = words;
}

// Gives a file to the person.
export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
