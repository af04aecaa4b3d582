// Form of a device: what everybody sets, the driver's options by its JSON Schema, limits as rows, the rest folded away.

import { at, get } from "../core/api.js";
import { el } from "../core/dom.js";
import { translated } from "../core/help.js";
import { t } from "../core/i18n.js";
import { mainValues } from "../core/parts.js";
import { state } from "../core/state.js";
import { Field, taken } from "./field.js";
import { LimitRows } from "./limits.js";
import { fieldsOf, keyed } from "./schema.js";

const USUAL_VALUES = ["spo2", "heart_rate", "systolic", "diastolic", "temperature", "glucose", "humidity", "weight"];

// The fields that only some devices have, by what their driver reads them over; all of them where that is not known.
const LINE = ["baudrate", "parity", "stopbits", "bytesize", "flow"];
const AIR = ["address", "name", "adapter"];
const WITHOUT = { serial: AIR, w1: [...AIR, ...LINE], ble: ["port", ...LINE], mqtt: ["port", ...AIR, ...LINE] };

export class DeviceForm {
  #fields;
  #options = [];
  #optionPlace = el("fieldset", { hidden: true });
  #driver = "";
  #expert;
  #had;

  // `had`: the settings as they are; `id` null: a new device; `drivers`: the names that there are.
  constructor({ id, called = id ?? "", had = {}, drivers }) {
    const field = (name, options = {}) => new Field(name, { label: t(`f.${name}`), value: had[name], ...options });
    const hinted = (name, options = {}) => field(name, { hint: t(`f.${name}.hint`), ...options });
    this.#had = had;
    const main = [
      hinted("id", { value: called, needed: true, fixed: id !== null }),
      hinted("label"),
      hinted("room", { list: [...new Set(state.devices.map((device) => device.room).filter(Boolean))] }),
      hinted("driver", { needed: true, list: drivers }),
      hinted("port"),
      hinted("address"),
      field("patient", { hint: had.patient === "***" ? t("f.patient.kept") : t("f.patient.hint") }),
    ];
    const limits = new LimitRows(had.thresholds ?? {}, [...new Set([...mainValues(state.values.get(id), 8), ...USUAL_VALUES])]);
    const reports = [hinted("every", { loose: true }), hinted("brokers", { value: had.brokers?.join(", ") })];
    const byDriver = (name, options) => field(name, { hint: t("f.driver-default"), ...options });
    const line = [
      byDriver("baudrate", { kind: "integer" }), byDriver("parity", { kind: "select", choices: ["N", "E", "O", "M", "S"] }), byDriver("stopbits", { kind: "select", choices: [1, 1.5, 2] }),
      byDriver("bytesize", { kind: "select", choices: [5, 6, 7, 8] }), byDriver("flow", { kind: "select", choices: ["none", "rtscts", "xonxoff"] }), byDriver("silence", { loose: true }), field("name"), field("adapter"),
    ];
    this.#expert = new Field("expert", { label: "JSON", kind: "json", hint: t("f.expert.hint") });
    this.#fields = [...main, ...reports, limits, ...line];
    const fold = (words, parts) => el("details", {}, el("summary", {}, words), parts.map((part) => part.element));
    this.element = el("div", { class: "form" }, main.map((one) => one.element), this.#optionPlace, limits.element, reports.map((one) => one.element), fold(t("f.more"), line), fold(t("f.expert"), [this.#expert]));
    this.driver = main[3];
    this.driver.input.addEventListener("change", () => this.load());
  }

  get fields() {
    return [...this.#fields.filter((field) => !field.element.hidden), ...this.#options, this.#expert];
  }

  field(name) {
    return this.#fields.find((one) => one.name === name);
  }

  // The options of the driver that is chosen.
  async load() {
    const driver = this.driver.input.value.trim();
    if (driver === this.#driver) return;
    this.#driver = driver;
    let schema = { options: {} };
    try {
      if (driver) schema = await get(`drivers/${at(driver)}`);
    } catch {
      // there is no such driver; the gateway says so when the form is sent
    }
    if (driver !== this.#driver) return;
    for (const { name, element } of this.#fields) element.hidden = WITHOUT[schema.transport]?.includes(name) ?? false;
    this.#options = fieldsOf(schema.options, this.#had.driver === driver ? this.#had.options : {}, "options.");
    this.#optionPlace.replaceChildren(el("legend", {}, t("f.options")), el("p", { class: "hint" }, translated(schema.title)), ...this.#options.map((one) => one.element));
    this.#optionPlace.hidden = this.#options.length === 0;
  }

  // {id, settings}; what the form does not know stays as it was.
  take() {
    const values = taken(this.fields);
    const { id, expert = {}, brokers } = values;
    const rest = Object.fromEntries(Object.entries(this.#had).filter(([key]) => !this.#fields.some((field) => field.name === key) && key !== "options"));
    const own = Object.fromEntries(this.#fields.filter((field) => field.name in values && field.name !== "id").map((field) => [field.name, values[field.name]]));
    if (brokers !== undefined) own.brokers = brokers.split(",").map((name) => name.trim()).filter(Boolean);
    const options = keyed(this.#options, values);
    return { id, settings: { ...rest, ...own, ...(Object.keys(options).length ? { options } : {}), ...expert } };
  }
}
