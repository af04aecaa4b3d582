// Wizard for a new device: find it or choose its type, say where it is, see its first reading, keep it.

import { ask, at, get } from "../core/api.js";
import { el, say, show, text } from "../core/dom.js";
import { said } from "../core/format.js";
import { t } from "../core/i18n.js";
import { button, failed, fill, heading, mainValues, showValue } from "../core/parts.js";
import { go, link } from "../core/router.js";
import { listen, state } from "../core/state.js";
import { signOf } from "../core/trouble.js";
import { DeviceForm } from "../forms/device-form.js";
import { makeForm } from "../forms/form.js";

const STEPS = ["find", "where", "try"];

class AddDevice {
  #place = el("div");
  #steps = el("ol", { class: "steps" });
  #drivers = [];
  #stop = () => {};
  #tried = null; // {id, etag}: the device as it is tried

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
    const search = el("input", { type: "search", id: "driver-search", placeholder: t("search"), "aria-label": t("search"), oninput: () => draw() });
    const complaint = el("p", { class: "error", role: "alert" });
    const draw = () => {
      const words = search.value.trim().toLowerCase().split(/\s+/);
      const found = this.#drivers.filter((driver) => words.every((word) => `${driver.name} ${driver.title}`.toLowerCase().includes(word)));
      list.replaceChildren(...found.map((driver) => el("li", {}, el("button", { type: "button", class: "pick", "data-driver": driver.name, onclick: () => this.#where({ driver: driver.name }) }, el("strong", {}, driver.title || driver.name), el("small", {}, driver.name)))));
    };
    this.#step("find", el("section", { class: "card", "aria-labelledby": "pick-title" }, el("h2", { id: "pick-title" }, t("wizard.kind")), search, complaint, list));
    try {
      const { drivers, titles = {} } = await get("drivers");
      this.#drivers = drivers.map((name) => ({ name, title: titles[name] ?? "" }));
      draw();
      search.focus();
    } catch (error) {
      text(complaint, failed(error));
    }
  }

  async #where(had, id = null) {
    const form = new DeviceForm({ id, had, drivers: this.#drivers.map(({ name, title }) => [name, title]) });
    await form.load();
    const made = makeForm({
      content: [el("h2", {}, t("wizard.where")), form.element], fields: () => form.fields, verb: t("wizard.trying"), id: "device-form",
      after: id === null ? [button(t("back"), () => this.#find(), { class: "plain" })] : [button(t("wizard.discard"), () => this.#discard(), { class: "plain" })],
      send: async () => {
        const { id: called, settings } = form.take();
        const device = id === null
          ? await ask("POST", "devices", { body: { device_id: called, ...settings } })
          : await ask("PUT", `devices/${at(id)}`, { body: settings, match: this.#tried?.etag });
        this.#tried = { id: called, etag: device.etag };
        await state.refresh();
        this.#try(called, settings);
      },
    });
    this.#step("where", el("section", { class: "card" }, made));
    form.field(id === null ? "id" : "label").input.focus();
  }

  #try(id, settings) {
    const values = el("dl", { class: "values", id: "first-values" });
    const note = el("p", { role: "status" });
    const reason = el("p", { class: "notice bad" });
    const keep = button(t("wizard.keep"), () => {
      say(t("wizard.kept", { label: settings.label || id }));
      go(link("devices", id));
    }, { id: "keep" });
    const draw = () => {
      const device = state.device(id);
      const kept = state.values.get(id);
      const names = mainValues(kept, 6);
      text(note, names.length || kept?.last ? t("wizard.reading") : t("wizard.waiting"));
      fill(values, names.length);
      names.forEach((name, at_) => showValue(values.children[at_], name, kept.latest.get(name), null));
      const bad = device && signOf(device).kind === "bad";
      text(reason, bad ? said(device.message, device.hint) : "");
      show(reason, bad);
    };
    this.#step("try", el("section", { class: "card", "aria-labelledby": "try-title" }, el("h2", { id: "try-title" }, settings.label || id), note, reason, values,
      el("div", { class: "actions" }, keep, button(t("wizard.change"), () => this.#where(settings, id), { class: "plain" }), button(t("wizard.discard"), () => this.#discard(), { class: "plain" }))));
    this.#stop = listen({ status: draw, readings: ({ detail }) => detail.has(id) && draw() });
    draw();
    keep.focus();
  }

  async #discard() {
    try {
      await ask("DELETE", `devices/${at(this.#tried.id)}`);
      await state.refresh();
      go("#/devices");
    } catch (error) {
      say(failed(error));
    }
  }
}

export const open = (main) => new AddDevice(main);
