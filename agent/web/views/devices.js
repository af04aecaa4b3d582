// Devices: a table that is searched, filtered and sorted by anything.

import { may } from "../core/api.js";
import { el, keep, mark, show, text } from "../core/dom.js";
import { age, nameOf, number, quantity } from "../core/format.js";
import { translated } from "../core/help.js";
import { locale, t } from "../core/i18n.js";
import { link } from "../core/router.js";
import { listen, state } from "../core/state.js";
import { labelOf, reasonWords, signOf } from "../core/trouble.js";
import { anchor, heading, mainValues, searchBox, sign, tell } from "../core/parts.js";

const KEPT = "gatepost-devices"; // sorting and columns, as this browser had them
const SLOWLY = 5000;
const ORDER = { bad: 0, warn: 1, good: 2, idle: 3 };

const faults = (device) => Object.values(device.faults ?? {}).reduce((sum, count) => sum + count, 0);
// The first words of the title: what follows says which formats or makes.
const typeOf = (device) => (translated(device.title) || device.driver).split(/[:(,]/)[0].trim();
const lastOf = (device) => state.values.get(device.id)?.last?.timestamp ?? device.last_reading ?? "";

// name -> [what is sorted by, whether it can be left out]
const COLUMNS = {
  device: [(device) => labelOf(device), false],
  room: [(device) => device.room ?? "", true],
  state: [(device) => `${ORDER[signOf(device).kind]} ${signOf(device).word}`, false],
  value: [(device) => valueWords(device).map(([words]) => words).join(), true],
  age: [(device) => lastOf(device), true],
  battery: [(device) => device.battery ?? Infinity, true],
  driver: [typeOf, true],
  signal: [(device) => device.signal_strength ?? -Infinity, true],
  readings: [(device) => device.readings, true],
  faults: [faults, true],
};
const AT_FIRST = ["device", "room", "state", "value", "age", "battery", "driver"];

function valueWords(device) {
  const values = state.values.get(device.id);
  return mainValues(values, 2).map((name) => {
    const kept = values.latest.get(name);
    const words = kept.value === null ? `– ${reasonWords(kept.reason)}` : quantity(kept.value, kept.unit);
    return [`${nameOf(name)} ${words}`, Boolean(values.beyond(name, kept.value))];
  });
}

class DeviceRow {
  #cells = new Map();
  #name = el("a");
  #id = el("small", { class: "soft" });
  #sign = sign();

  constructor(device) {
    this.id = device.id;
    this.#name.href = link("devices", device.id);
    this.element = el("tr", { class: "device", "data-name": device.id });
    for (const name of Object.keys(COLUMNS)) this.#cells.set(name, name === "device" ? el("th", { scope: "row" }, this.#name, this.#id) : el("td", { "data-label": t(`col.${name}`), "data-column": name }));
    this.#cells.get("state").append(this.#sign);
  }

  columns(names) {
    this.element.replaceChildren(...names.map((name) => this.#cells.get(name)));
  }

  update(device) {
    this.device = device;
    text(this.#name, labelOf(device));
    text(this.#id, device.label ? device.id : "");
    tell(this.#sign, signOf(device));
    const cell = (name, words) => text(this.#cells.get(name), words);
    cell("room", device.room);
    cell("driver", typeOf(device));
    this.#cells.get("driver").title = translated(device.title);
    cell("battery", typeof device.battery === "number" ? quantity(device.battery, "%") : "");
    cell("signal", typeof device.signal_strength === "number" ? quantity(device.signal_strength, "dBm") : "");
    cell("readings", number(device.readings));
    cell("faults", faults(device) ? number(faults(device)) : "");
    this.draw();
  }

  draw() {
    const parts = valueWords(this.device);
    const cell = this.#cells.get("value");
    while (cell.children.length > parts.length) cell.lastElementChild.remove();
    while (cell.children.length < parts.length) cell.append(el("span"));
    parts.forEach(([words, out], at) => mark(cell.children[at], out ? "bad" : "", words));
    const last = lastOf(this.device);
    text(this.#cells.get("age"), last ? age(last) : "");
  }
}

function select(key, change) {
  const element = el("select", { onchange: change, "aria-label": t(`filter.${key}`), name: key });
  return {
    element,
    get value() {
      return element.value;
    },
    offer(choices) {
      const told = JSON.stringify(choices);
      if (element.dataset.told === told) return;
      const had = element.value;
      element.dataset.told = told;
      element.replaceChildren(el("option", { value: "" }, `${t(`filter.${key}`)}: ${t("all")}`), ...choices.map((one) => el("option", { value: one }, one)));
      if (choices.includes(had)) element.value = had;
    },
  };
}

export function open(main) {
  const rows = new Map();
  const kept = { by: "device", down: false, columns: AT_FIRST, ...JSON.parse(localStorage.getItem(KEPT) ?? "{}") };
  heading({ title: t("place.devices"), actions: [may("admin") ? anchor(t("add-device"), "#/add-device", { class: "button", id: "add-device" }) : null] });
  const search = searchBox(() => all(), { id: "search" });
  const filters = { state: select("state", () => all()), driver: select("driver", () => all()), room: select("room", () => all()), broker: select("broker", () => all()) };
  const count = el("p", { class: "soft", role: "status" });
  const headRow = el("tr");
  const body = el("tbody");
  const none = el("p", { class: "empty", hidden: true });
  const choice = el("details", { class: "menu" }, el("summary", {}, t("columns")), el("div", { class: "choices" },
    Object.entries(COLUMNS).filter(([, [, optional]]) => optional).map(([name]) => {
      const box = el("input", { type: "checkbox", onchange: () => columns(name, box.checked) });
      box.checked = kept.columns.includes(name);
      return el("label", {}, box, t(`col.${name}`));
    })));
  const table = el("table", { class: "devices stacks" }, el("thead", {}, headRow), body);
  main.append(el("div", { class: "filters" }, search, ...Object.values(filters).map((one) => one.element), choice), count,
    el("div", { class: "wide card", tabindex: 0, role: "group", "aria-label": t("place.devices") }, table), none);

  function keepChoice() {
    localStorage.setItem(KEPT, JSON.stringify(kept));
  }

  function columns(name, on) {
    kept.columns = Object.keys(COLUMNS).filter((one) => (one === name ? on : kept.columns.includes(one)));
    keepChoice();
    heads();
    for (const row of rows.values()) row.columns(kept.columns);
  }

  function sort(name) {
    kept.down = kept.by === name && !kept.down;
    kept.by = name;
    keepChoice();
    heads();
    all();
    headRow.querySelector(`[data-sort="${name}"]`).focus();
  }

  function heads() {
    headRow.replaceChildren(...kept.columns.map((name) => {
      const sorted = kept.by === name ? (kept.down ? "descending" : "ascending") : "none";
      const press = el("button", { type: "button", class: "sort", "data-sort": name, title: t("sort.by", { name: t(`col.${name}`) }), onclick: () => sort(name) }, t(`col.${name}`));
      return el("th", { scope: "col", "aria-sort": sorted }, press);
    }));
  }

  function fits(device) {
    const words = search.value.trim().toLocaleLowerCase(locale);
    const text_ = [device.id, device.label, device.room, device.driver, device.title, typeOf(device), device.port, signOf(device).word].filter(Boolean).join(" ").toLocaleLowerCase(locale);
    const brokers = state.brokers.filter((broker) => broker.name === filters.broker.value);
    return words.split(/\s+/).every((word) => text_.includes(word))
      && (!filters.state.value || signOf(device).word === filters.state.value)
      && (!filters.driver.value || typeOf(device) === filters.driver.value)
      && (!filters.room.value || device.room === filters.room.value)
      && (!brokers.length || !device.brokers || device.brokers.includes(filters.broker.value));
  }

  function all() {
    if (!state.status) return;
    const distinct = (of) => [...new Set(state.devices.map(of).filter(Boolean))].sort((one, other) => one.localeCompare(other, locale, { numeric: true }));
    filters.state.offer(distinct((device) => signOf(device).word));
    filters.driver.offer(distinct(typeOf));
    filters.room.offer(distinct((device) => device.room));
    filters.broker.offer(state.brokers.map((broker) => broker.name));
    show(filters.room.element, distinct((device) => device.room).length > 0);
    show(filters.broker.element, state.brokers.length > 1);
    const [value] = COLUMNS[kept.by] ?? COLUMNS.device;
    const turn = kept.down ? -1 : 1;
    const compare = (one, other) => (typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other), locale, { numeric: true }));
    const found = state.devices.filter(fits).sort((one, other) => turn * compare(value(one), value(other)) || compare(one.id, other.id));
    keep(body, rows, found, (device) => device.id, (device) => {
      const row = new DeviceRow(device);
      row.columns(kept.columns);
      return row;
    });
    text(count, t("count.devices", { n: found.length }));
    text(none, state.devices.length ? t("filter.none") : t("no-devices"));
    show(none, found.length === 0);
    show(table.parentElement, found.length > 0);
  }

  heads();
  const stop = listen({ status: all, readings: ({ detail }) => detail.forEach((id) => rows.get(id)?.draw()) });
  const timer = setInterval(() => rows.forEach((row) => row.draw()), SLOWLY);
  all();
  return {
    close() {
      clearInterval(timer);
      stop();
    },
  };
}
