// Overview: what needs a person first, then figures, then every device as a tile, by room.

import { ask, may } from "../core/api.js";
import { el, keep, mark, say, show, text } from "../core/dom.js";
import { age, nameOf, number, quantity, size } from "../core/format.js";
import { locale, t } from "../core/i18n.js";
import { link } from "../core/router.js";
import { Sparkline } from "../core/sparkline.js";
import { listen, state } from "../core/state.js";
import { beyondLimits, labelOf, needsPerson, signOf } from "../core/trouble.js";
import { anchor, failed, fill, heading, mainValues, pace, plain, showValue, sign, tell } from "../core/parts.js";

const FEW = 8; // entries that are shown before somebody asks for the others
const SLOWLY = 1000; // milliseconds between two looks at ages and limits

class DeviceTile {
  #sign = sign();
  #name = el("a");
  #room = el("span", { class: "soft" });
  #values = el("dl", { class: "values" });
  #curve = new Sparkline();
  #age = el("span");
  #note = el("span");

  constructor(device) {
    this.id = device.id;
    this.#name.href = link("devices", device.id);
    this.element = el("li", { class: "card tile device", "data-name": device.id },
      el("div", { class: "head" }, el("h3", {}, this.#sign, this.#name), this.#room), this.#values, this.#curve.element, el("p", { class: "foot" }, this.#age, this.#note));
  }

  update(device) {
    this.device = device;
    tell(this.#sign, signOf(device));
    text(this.#name, labelOf(device));
    text(this.#room, device.room);
    this.draw();
  }

  draw() {
    const { device } = this;
    const values = state.values.get(this.id);
    const shown = signOf(device);
    const names = mainValues(values, 2);
    fill(this.#values, names.length);
    names.forEach((name, at) => showValue(this.#values.children[at], name, values.latest.get(name), values.beyond(name, values.latest.get(name).value)));
    this.element.classList.toggle("stale", shown.kind === "bad");
    const [first] = names.filter((name) => values.past.has(name));
    const wave = first ? null : state.waves.get(this.id)?.values().next().value;
    const points = first ? values.past.get(first) : (wave?.samples ?? []).map((sample, at) => [at, sample]);
    show(this.#curve.element, points.length > 1);
    if (first) this.#curve.draw(first, points, values.limits[first], values.beyond(first, values.latest.get(first).value));
    else this.#curve.draw("", points, {}, false);
    const last = values?.last?.timestamp ?? device.last_reading;
    text(this.#age, last ? age(last) : t("no-reading"));
    const remark = values?.last?.flags?.length && names.some((name) => values.latest.get(name).value === null) ? "" : device.doing?.what;
    const battery = typeof device.battery === "number" ? t("battery", { value: quantity(device.battery, "%") }) : "";
    const rate = wave ? t("wave", { name: nameOf(wave.channel ?? wave.metric_type), rate: number(wave.rate_hz) }) : "";
    text(this.#note, [shown.kind === "bad" || shown.kind === "idle" ? shown.word : "", rate, remark, battery].filter(Boolean).join(", "));
  }
}

class Figure {
  #value = el("strong");
  #of = el("span");
  #note = el("p", { class: "soft" });

  constructor(key) {
    this.element = el("li", { class: "card figure", "data-name": key }, el("p", { class: "soft" }, t(`tile.${key}`)), el("p", {}, this.#value, " ", this.#of), this.#note);
  }

  tell(value, of, note, bad) {
    mark(this.#value, bad ? "bad" : "", value);
    text(this.#of, of);
    text(this.#note, note);
  }
}

class Wanting {
  #title = el("h3");
  #detail = el("p", { class: "soft" });
  #open = anchor(t("open"), "", { class: "button plain" });

  constructor({ seen }) {
    const acknowledge = () => ask("POST", "gaps/seen", { body: {} }).then(() => state.refresh(), (error) => say(failed(error)));
    this.element = el("li", {}, el("div", {}, this.#title, this.#detail), el("div", { class: "actions" }, seen && may("operator") ? plain(t("seen"), acknowledge, { id: "seen" }) : null, this.#open));
  }

  update({ key, kind, title, detail, href }) {
    mark(this.element, kind);
    this.element.dataset.key = key;
    text(this.#title, title);
    text(this.#detail, detail);
    this.#open.href = href;
    this.#open.setAttribute("aria-label", `${t("open")}: ${title}`);
  }
}

export function open(main) {
  const tiles = new Map();
  const wantings = new Map();
  const drained = pace();
  const clockChip = el("span", { class: "chip", id: "clock" });
  const liveChip = el("span", { class: "chip", id: "live" });
  heading({
    title: t("place.overview"),
    chips: [liveChip],
    actions: [clockChip, anchor(t("place.board"), "#/board", { class: "button plain" }), may("admin") ? anchor(t("add-device"), "#/add-device", { class: "button", id: "add-device" }) : null],
  });
  const figures = { devices: new Figure("devices"), brokers: new Figure("brokers"), backlog: new Figure("backlog"), stored: new Figure("stored") };
  const calm = el("p", { class: "calm", id: "calm" }, t("needs-nobody"));
  const list = el("ul", { class: "wanting card", id: "wanting" });
  const wantingTitle = el("h2", { id: "wanting-title" }, t("needs-person"));
  const more = plain("", () => {
    whole = !whole;
    tellWanting();
  }, { id: "wanting-more", hidden: true });
  let whole = false;
  const grid = el("ul", { class: "cards", id: "devices", "aria-label": t("place.devices") });
  const empty = el("p", { class: "empty", hidden: true }, t("no-devices"));
  main.append(
    el("section", { "aria-labelledby": "wanting-title" }, wantingTitle, calm, list, more),
    el("ul", { class: "figures", "aria-label": t("place.overview") }, ...Object.values(figures).map((one) => one.element)),
    el("section", { "aria-labelledby": "devices-title" }, el("h2", { id: "devices-title" }, t("place.devices")), empty, grid),
  );

  function tellFigures() {
    const { devices, brokers } = state;
    const store = state.status.store;
    const signs = devices.map((device) => signOf(device).kind);
    const bad = signs.filter((kind) => kind === "bad").length;
    const beyond = beyondLimits().length;
    const idle = devices.filter((device) => ["asleep", "waiting"].includes(device.reason) && signOf(device).kind === "idle").length;
    const notes = [bad ? t("tile.trouble", { n: bad }) : "", beyond ? t("tile.beyond", { n: beyond }) : "", idle ? t("tile.asleep", { n: idle }) : ""].filter(Boolean);
    figures.devices.tell(number(devices.length - bad), t("tile.fine", { n: devices.length }), notes.join(" · ") || t("tile.well"), false);
    const connected = brokers.filter((broker) => broker.state === "connected").length;
    figures.brokers.tell(number(connected), t("tile.connected", { n: brokers.length }), brokers.map(labelOf).join(" · ") || t("tile.no-brokers"), connected < brokers.filter((broker) => broker.active).length);
    const owed = Math.max(0, ...brokers.map((broker) => broker.owed?.readings ?? 0));
    const delivered = brokers.reduce((sum, broker) => sum + (broker.delivered ?? 0), 0);
    const rate = drained(delivered) ?? 0;
    const waits = rate >= 0.1 ? t("tile.drains", { rate: number(Number(rate.toPrecision(2))) }) : t("tile.stuck");
    figures.backlog.tell(number(owed), "", owed ? waits : t("tile.delivered"), false);
    figures.stored.tell(number(store.stored ?? 0), "", [t("tile.lost", { n: number(store.lost ?? 0) }), t("tile.disk", { size: size(store.file_bytes) })].join(" · "), store.state !== "ok");
  }

  function tellWanting() {
    const wanting = needsPerson();
    show(calm, wanting.length === 0);
    show(list, wanting.length > 0);
    const long = wanting.length > FEW + 1; // nobody is asked to unfold a single one
    show(more, long);
    text(more, whole ? t("fewer") : t("all-of-them", { n: wanting.length }));
    more.setAttribute("aria-expanded", String(whole));
    keep(list, wantings, long && !whole ? wanting.slice(0, FEW) : wanting, (one) => one.key, (one) => new Wanting(one));
  }

  function tellDevices() {
    show(empty, state.devices.length === 0);
    const place = (device) => [device.room ?? "\uffff", labelOf(device)];
    const compare = (one, other) => one.localeCompare(other, locale, { numeric: true });
    const sorted = state.devices.map((device) => [place(device), device]).sort(([one], [other]) => compare(one[0], other[0]) || compare(one[1], other[1])).map(([, device]) => device);
    keep(grid, tiles, sorted, (device) => device.id, (device) => new DeviceTile(device));
  }

  function all() {
    if (!state.status) return;
    const good = state.status.clock.synchronised;
    clockChip.replaceChildren(`${t("clock")} `, el("strong", { class: good ? "" : "warn" }, t(good ? "clock.good" : "clock.bad")));
    tellFigures();
    tellWanting();
    tellDevices();
  }
  const linked = () => liveChip.replaceChildren(el("span", { class: `sign ${{ live: "good", polling: "warn" }[state.link] ?? "bad"}` }, t(`link.${state.link || "lost"}`)));
  const stop = listen({ status: all, readings: ({ detail }) => detail.forEach((id) => tiles.get(id)?.draw()), link: linked });
  const timer = setInterval(() => {
    if (!state.status) return;
    tellWanting();
    for (const tile of tiles.values()) tile.draw();
  }, SLOWLY * 5);
  all();
  linked();
  return {
    close() {
      clearInterval(timer);
      stop();
    },
  };
}
