// Wizard for a new device: search for it or choose its type, say where it is, see its first reading, keep it.

import { ask, get, lines } from "../core/api.js";
import { el, mark, say, show, text } from "../core/dom.js";
import { number, said } from "../core/format.js";
import { translated } from "../core/help.js";
import { known, t } from "../core/i18n.js";
import { button, card, failed, fill, heading, mainValues, plain, searchBox, showValue, sign, tell, trouble } from "../core/parts.js";
import { go, link } from "../core/router.js";
import { listen, state } from "../core/state.js";
import { DeviceValues } from "../core/values.js";
import { Field, WrongField } from "../forms/field.js";
import { DeviceForm } from "../forms/device-form.js";
import { makeForm, placed } from "../forms/form.js";

const STEPS = ["find", "where", "try"];
const LOOK = { live: 5000, polling: 700 }; // milliseconds after which a search is looked at of which nothing is heard
const TRIAL = 60; // seconds for a first reading
const LOOKS = { recognised: "good", speaks: "warn", silent: "idle", "left-alone": "idle" };

// A search of ports or of the air, with its progress and what it found.
class DeviceSearch {
  #bar = el("progress", { "aria-label": t("wizard.find") });
  #doing = el("p", { class: "soft", role: "status" });
  #list = el("ul", { class: "picks" });
  #error = trouble();
  #ask = el("input", { type: "checkbox", id: "scan-ask" });
  #ports = new Field("ports", { label: t("wizard.ports"), hint: t("wizard.ports.hint") });
  #cancel = plain(t("cancel"), () => this.#take(ask("DELETE", "scan")));
  #buttons;
  #timer = 0;
  #newest = { started: null, elapsed: 0 };
  #use;
  #deaf = listen({ scan: ({ detail }) => this.#draw(detail) });

  constructor(use) {
    this.#use = use;
    this.#buttons = ["serial", "ble"].map((kind) => button(t(`wizard.scan.${kind}`), () => this.#begin(kind), { id: `scan-${kind}` }));
    this.element = card(t("wizard.search"), el("div", { class: "actions" }, this.#buttons, this.#cancel),
      el("div", { class: "field check" }, el("div", {}, this.#ask, el("label", { for: "scan-ask" }, t("wizard.ask"))), el("p", { class: "hint" }, t("wizard.ask.hint"))), el("details", {}, el("summary", {}, t("wizard.more")), this.#ports.element), this.#bar, this.#doing, this.#error, this.#list);
    this.#draw(null);
    this.#take(get("scan"));
  }

  #begin(kind) {
    const ports = (this.#ports.take() ?? "").split(",").map((port) => port.trim()).filter(Boolean);
    this.#take(ask("POST", "scan", { body: kind === "serial" ? { kind, ask: this.#ask.checked, ports } : { kind } }));
  }

  end() {
    this.#use = null;
    this.#deaf();
    clearTimeout(this.#timer);
  }

  async #take(answer) {
    clearTimeout(this.#timer);
    text(this.#error, "");
    try {
      const told = await answer;
      this.#draw(told.scan === undefined ? told : told.scan);
    } catch (error) {
      text(this.#error, failed(error));
    }
  }

  #draw(scan) {
    // An answer may come after an event that is newer.
    if (!this.#use || (scan?.started === this.#newest.started && scan.elapsed < this.#newest.elapsed)) return;
    clearTimeout(this.#timer);
    const running = scan?.state === "running";
    for (const one of this.#buttons) one.disabled = running;
    show(this.#cancel, running);
    show(this.#bar, running);
    if (!scan) return;
    this.#newest = scan;
    // Of a radio the time says how far it is, of ports their number.
    const [done, total] = scan.kind === "ble" ? [scan.elapsed, scan.seconds] : [scan.done, scan.total];
    this.#bar.max = total || 1;
    this.#bar.value = done ?? 0;
    const found = scan.found.filter((one) => one.state === "recognised").length;
    text(this.#doing, running ? [t("wizard.scanning", { done: number(Math.floor(done ?? 0)), total: number(total ?? 0) }), scan.doing].filter(Boolean).join(": ") : found ? t("wizard.found", { n: found }) : t("wizard.nothing"));
    if (scan.state === "failed") text(this.#error, said(scan.message, scan.hint));
    const told = JSON.stringify(scan.found);
    if (this.#list.dataset.told !== told) {
      this.#list.dataset.told = told;
      const rank = (one) => (one.state === "recognised" ? (one.configured ? 1 : 0) : 2);
      this.#list.replaceChildren(...[...scan.found].sort((one, other) => rank(one) - rank(other)).map((one) => this.#entry(one)));
    }
    if (running) this.#timer = setTimeout(() => this.#take(get("scan")), LOOK[state.link] ?? LOOK.polling);
  }

  #entry(one) {
    const look = sign();
    tell(look, { kind: LOOKS[one.state] ?? "bad", word: one.configured ? t("wizard.taken", { id: one.configured }) : known(`scan.${one.state}`, one.state) });
    const name = translated(one.title) || one.what || one.name || one.usb || one.port || one.address;
    const about = [one.name, one.port ?? one.address, typeof one.rssi === "number" ? `${one.rssi} dBm` : "", one.certainty && one.certainty !== "sure" ? t("wizard.unsure") : "", one.needs ? t("wizard.key") : ""].filter((words) => words && words !== name);
    const content = [el("strong", {}, name), el("small", {}, about.join(" · ")), look, el("small", {}, said(one.message, one.hint))];
    if (one.configured || !(one.settings ?? one.port)) return el("li", { class: "pick" }, content);
    return el("li", {}, el("button", { type: "button", class: "pick", "data-found": one.port ?? one.address, onclick: () => this.#use({ ...(one.settings ?? { port: one.port }) }, one.suggested_id) }, content));
  }
}

class AddDevice {
  #place = el("div");
  #steps = el("ol", { class: "steps" });
  #drivers = [];
  #stop = () => {};

  constructor(main) {
    heading({ title: t("add-device"), crumbs: [[t("place.devices"), "#/devices"]] });
    main.append(this.#steps, this.#place);
    this.#find();
  }

  close() {
    this.#stop();
    this.#stop = () => {};
  }

  #step(name, ...content) {
    this.close();
    this.#steps.replaceChildren(...STEPS.map((one) => el("li", one === name ? { "aria-current": "step" } : {}, t(`wizard.${one}`))));
    this.#place.replaceChildren(...content);
  }

  async #find() {
    const list = el("ul", { class: "picks" });
    const search = searchBox(() => draw(), { id: "driver-search" });
    const complaint = trouble();
    const draw = () => {
      const words = search.value.trim().toLowerCase().split(/\s+/);
      const found = this.#drivers.filter((driver) => words.every((word) => driver.join(" ").toLowerCase().includes(word)));
      list.replaceChildren(...found.map(([name, title]) => el("li", {}, el("button", { type: "button", class: "pick", "data-driver": name, onclick: () => this.#where({ driver: name }) }, el("strong", {}, title || name), el("small", {}, name)))));
    };
    const scan = new DeviceSearch((settings, id) => this.#where(settings, id));
    this.#step("find", scan.element, card(t("wizard.kind"), search, complaint, list));
    this.#stop = () => scan.end();
    try {
      const { drivers, titles = {} } = await get("drivers");
      this.#drivers = drivers.map((name) => [name, translated(titles[name]), titles[name] ?? ""]);
      draw();
    } catch (error) {
      text(complaint, failed(error));
    }
  }

  // `failure`: what was wrong when it was tried.
  async #where(had, id = "", failure = null) {
    const form = new DeviceForm({ id: null, called: id, had, drivers: this.#drivers });
    await form.load();
    const made = makeForm({
      content: [el("h2", {}, t("wizard.where")), form.element], fields: () => form.fields, verb: t("wizard.trying"), id: "device-form",
      after: [plain(t("back"), () => this.#find())],
      send: async () => {
        const { id: called, settings } = form.take();
        if (state.device(called)) {
          form.field("id").complain(t("wrong.taken"));
          throw new WrongField();
        }
        await this.#try(called, settings);
      },
    });
    this.#step("where", el("section", { class: "card" }, made));
    form.field(id ? "label" : "id").input.focus();
    if (failure) made.querySelector("[role=alert]").textContent = placed(failure, form.fields);
  }

  // Its first readings, before anything is kept. What is wrong with the settings is told at the form.
  async #try(id, settings) {
    const stop = new AbortController();
    const told = lines("POST", "device-test", { body: { settings, seconds: TRIAL }, signal: stop.signal });
    const first = await told.next();
    const values = el("dl", { class: "values", id: "first-values" });
    const note = el("p", { role: "status" });
    const reason = el("p", { class: "notice", hidden: true });
    const complaint = trouble();
    const kept = new DeviceValues(id);
    const keep = button(t("wizard.keep"), async () => {
      try {
        this.close();
        await ask("POST", "devices", { body: { device_id: id, ...settings } });
        await state.refresh();
        say(t("wizard.kept", { label: settings.label || id }));
        go(link("devices", id));
      } catch (error) {
        if (error.problems?.length) this.#where(settings, id, error);
        else text(complaint, failed(error));
      }
    }, { id: "keep" });
    this.#step("try", card(settings.label || id, note, reason, values, el("p", { class: "hint" }, t("wizard.not-kept")), complaint,
      el("div", { class: "actions" }, keep, plain(t("wizard.change"), () => this.#where(settings, id)), plain(t("wizard.again"), () => this.#try(id, settings).catch((error) => this.#where(settings, id, error))), plain(t("wizard.discard"), () => go("#/devices")))));
    this.#stop = () => stop.abort();
    keep.focus();
    const hear = (line) => {
      if (line.reading) {
        kept.take(line.reading);
        const names = mainValues(kept, 6);
        fill(values, names.length);
        names.forEach((name, at) => showValue(values.children[at], name, kept.latest.get(name), null));
      }
      const bad = line.message || line.state === "error" || line.state === "offline";
      text(note, t(kept.last ? "wizard.reading" : line.end ? "wizard.silent" : line.state === "opening" ? "wizard.opening" : "wizard.waiting"));
      if (line.reading && !bad) return show(reason, false);
      text(reason, said(line.message, line.hint));
      mark(reason, `notice ${kept.last ? "warn" : "bad"}`);
      return show(reason, reason.textContent !== "");
    };
    if (!first.done) hear(first.value);
    this.#hear(told, hear).catch((error) => stop.signal.aborted || text(complaint, failed(error)));
  }

  async #hear(told, hear) {
    for await (const line of told) hear(line);
  }
}

export const open = (main) => new AddDevice(main);
