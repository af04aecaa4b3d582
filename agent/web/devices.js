// Devices: their last values, trends and waveforms, their state and why; register, change, remove, command.

import { ask, at, get, may } from "./api.js";
import { Trend, Wave } from "./chart.js";
import { el, mark, moment, number, pairs, say, show, span, text, unit, words } from "./dom.js";
import { confirm, Field, openForm, taken } from "./forms.js";
import { sendCommand } from "./command.js";

const BESIDE = new Set(["id", "schema", "gateway_id", "device_id", "patient_id", "metric_type", "units", "timestamp", "device_timestamp", "clock",
  "urgent", "replayed", "quality", "flags", "samples", "rate_hz", "scale", "offset", "unit", "channel", "lost_samples"]);
const STATES = { online: "good", starting: "warn", connecting: "warn", stopped: "" };
const TRENDS = 3; // values of a device that are drawn
const WAVES = 4;
const HISTORY = 100;
const DRAW = 250; // milliseconds between two drawings

export class DeviceCard {
  #state = el("span", { class: "state" });
  #values = el("dl", { class: "values" });
  #flags = el("p", { class: "note warn" });
  #plots = el("div");
  #reason = el("p", { class: "note" });
  #facts = el("dl", { class: "pairs" });
  #age = el("p", { class: "note" });
  #latest = new Map(); // name -> [value, unit]
  #trends = new Map();
  #waves = new Map();
  #last = null;
  #due = 0;
  #view = {};
  #refresh;

  constructor(device, refresh) {
    this.id = device.id;
    this.#refresh = refresh;
    const button = (words_, run, kind = "plain") =>
      el("button", { type: "button", class: kind, "aria-label": `${words_}: ${this.id}`, onclick: run }, words_);
    const actions = el(
      "div",
      { class: "actions" },
      may("operator") ? button("Command", () => sendCommand(this.id), null) : null,
      may("admin") ? button("Edit", () => editDevice(this.id, refresh)) : null,
      may("admin") ? button("Remove", () => this.#remove()) : null,
    );
    const head = el("div", { class: "head" }, el("h3", {}, device.id), this.#state);
    this.element = el("li", { class: "card device", "data-name": device.id }, head, this.#values, this.#flags, this.#plots, this.#age, this.#reason, this.#facts, actions);
  }

  update(device) {
    this.#view = device;
    const shown = device.monitoring === false && device.status === "online" ? "online, stopped" : device.status;
    mark(this.#state, `state ${STATES[device.status] ?? "bad"}`.trim(), shown);
    const why = [device.message || device.reason, device.hint].filter(Boolean).join("; ");
    text(this.#reason, why);
    this.#reason.className = `note${device.status === "online" ? "" : " bad"}`;
    show(this.#reason, why !== "");
    const told = device.battery;
    pairs(this.#facts, [
      ["Driver", device.driver],
      ["Port", device.port],
      ["Battery", told === undefined || told === null ? "" : `${number(told)} %`],
      ["Signal", device.signal_strength === undefined || device.signal_strength === null ? "" : number(device.signal_strength)],
      ["Readings", device.readings],
      ["Faults", Object.entries(device.faults ?? {}).filter(([, count]) => count > 0).map(([kind, count]) => `${words(kind)} ${count}`).join(", ")],
      ["Next attempt", device.next_retry_in === null ? "" : `in ${span(device.next_retry_in)}`],
    ]);
    this.#values.classList.toggle("stale", device.status !== "online");
    this.#tellAge();
  }

  async load() {
    try {
      const { readings } = await get(`devices/${at(this.id)}/data?limit=${HISTORY}`);
      for (const reading of readings.reverse()) this.take(reading, true);
    } catch {
      // nothing stored yet
    }
  }

  take(reading, old = false) {
    if (this.#last && old && this.#last.timestamp > reading.timestamp) return;
    if (reading.samples) {
      if (!old) this.#wave(reading);
    }
    const time = Date.parse(reading.timestamp);
    for (const [name, value] of Object.entries(reading)) {
      if (BESIDE.has(name) || value === null || typeof value === "object") continue;
      const code = reading.units?.[name];
      this.#latest.set(name, [value, code]);
      if (typeof value !== "number") continue;
      if (!this.#trends.has(name)) {
        if (this.#trends.size >= TRENDS) continue;
        const trend = new Trend(name);
        this.#trends.set(name, trend);
        this.#plots.append(trend.element);
      }
      this.#trends.get(name).add(time, value);
    }
    this.#last = reading;
    if (!this.#due) this.#due = setTimeout(() => this.#draw(), DRAW);
  }

  end() {
    clearTimeout(this.#due);
    for (const wave of this.#waves.values()) wave.end();
  }

  #wave(reading) {
    const name = reading.channel ?? reading.metric_type;
    const key = `${reading.metric_type} ${name}`;
    if (!this.#waves.has(key)) {
      if (this.#waves.size >= WAVES) return;
      const wave = new Wave(name);
      this.#waves.set(key, wave);
      this.#plots.prepend(wave.element);
    }
    this.#waves.get(key).add(reading);
  }

  #draw() {
    this.#due = 0;
    const entries = [...this.#latest];
    while (this.#values.children.length < entries.length) this.#values.append(el("div", {}, el("dt"), el("dd", {}, el("span"), " ", el("small"))));
    entries.forEach(([name, [value, code]], place) => {
      const out = this.#beyond(name, value);
      const [term, detail] = this.#values.children[place].children;
      text(term, words(name));
      mark(detail.children[0], out ? "bad" : "", number(value));
      text(detail.children[1], unit(code) + (out ? ` ${out}` : ""));
    });
    const last = this.#last;
    const remarks = [last.quality && last.quality !== "good" ? `quality ${last.quality}` : "", ...(last.flags ?? [])].filter(Boolean);
    text(this.#flags, remarks.join(", "));
    show(this.#flags, remarks.length > 0);
    for (const [name, trend] of this.#trends) trend.draw(this.#latest.get(name)?.[1]);
    this.#tellAge();
  }

  // Which of its limits a value is beyond.
  #beyond(name, value) {
    const { min, max } = this.#view.thresholds?.[name] ?? {};
    if (typeof value !== "number") return "";
    if (typeof min === "number" && value < min) return `below ${number(min)}`;
    return typeof max === "number" && value > max ? `above ${number(max)}` : "";
  }

  #tellAge() {
    const time = this.#last?.timestamp ?? this.#view.last_reading;
    if (!time) {
      text(this.#age, "No reading yet.");
      return;
    }
    const patient = this.#last?.patient_id ? `, patient ${this.#last.patient_id}` : "";
    const clock = this.#last?.clock && this.#last.clock !== "synchronised" ? `, clock ${this.#last.clock}` : "";
    text(this.#age, `Last reading ${moment(time)}${patient}${clock}`);
  }

  #remove() {
    confirm(`Remove the device ${this.id}?`, "It is not read any more. Its readings are kept.", "Remove", async () => {
      await ask("DELETE", `devices/${at(this.id)}`);
      await this.#refresh();
    }, `${this.id} was removed`);
  }
}

const OWN = ["driver", "port", "address", "baudrate", "patient", "every"];

// `id` null: a new one.
export async function editDevice(id, refresh) {
  let had = { configured: {}, etag: null };
  let drivers = [];
  try {
    drivers = (await get("drivers")).drivers;
    if (id !== null) had = await get(`devices/${at(id)}`);
  } catch (error) {
    say(error.message);
    return;
  }
  const now = had.configured ?? {};
  const rest = Object.fromEntries(Object.entries(now).filter(([key]) => !OWN.includes(key)));
  const fields = [
    new Field("device_id", { label: "Device id", value: id ?? "", needed: true, fixed: id !== null, hint: "letters, digits, _ . and -" }),
    new Field("driver", { label: "Driver", value: now.driver, needed: true, list: drivers, hint: "what kind of device it is" }),
    new Field("port", { label: "Port", value: now.port, hint: "serial: such as /dev/serial/by-id/usb-..." }),
    new Field("address", { label: "Address", value: now.address, hint: "Bluetooth: such as AA:BB:CC:DD:EE:FF" }),
    new Field("baudrate", { label: "Baud rate", kind: "integer", value: now.baudrate, hint: "only where it is another one than the driver's" }),
    new Field("patient", { label: "Patient", value: now.patient, hint: now.patient === "***" ? "*** = as it is" : "an opaque reference, no name" }),
    new Field("every", { label: "Report at most every", value: now.every, hint: "such as 1s; 0 = every reading" }),
    new Field("further", { label: "Further settings (JSON)", kind: "json", value: Object.keys(rest).length ? rest : undefined, hint: "as in a settings file: options, thresholds, brokers, ..." }),
  ];
  openForm({
    title: id === null ? "Register a device" : `Edit the device ${id}`,
    content: fields.map((field) => field.element),
    fields: () => fields,
    verb: "Save",
    done: "The device was saved",
    send: async () => {
      const { device_id: called, further, ...settings } = taken(fields);
      const body = { ...further, ...settings };
      if (id === null) await ask("POST", "devices", { body: { device_id: called, ...body } });
      else await ask("PUT", `devices/${at(id)}`, { body, match: had.etag });
      await refresh();
    },
  });
}
