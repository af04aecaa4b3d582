// Live state of the gateway: its status every few seconds, the newest values, what needs a person. Views listen to it.

import { at, get, may, whoami } from "./api.js";
import { LiveLink } from "./live.js";
import { DeviceValues } from "./values.js";

const AGAIN = 5000; // milliseconds between two questions for the status
const FINDINGS = 30000;
const SOON = 300;
const DRAW = 500; // milliseconds between two drawings of new readings
const PAST = 300; // readings of all devices that are asked for first
const PAST_OF_ONE = 60;
const PACE = 250; // milliseconds between two questions for the past of one device: far below the rate limit

// Events: "status" (anew), "readings" (detail: a Set of devices), "wave" (detail: a block), "link" (detail: the state),
// "trial" (of changed settings: it began, or how it ended), "scan" (detail: a search, how far it is), "ended" (the session does
// not hold any more).
class GatewayState extends EventTarget {
  status = null;
  findings = [];
  values = new Map(); // device -> DeviceValues
  trial = null; // of changed settings
  waves = new Map(); // device -> the newest block of each waveform
  #live = new LiveLink();
  #asking = null;
  #timer = 0;
  #hasty = 0;
  #found = 0; // when findings were asked for
  #on = false;
  #fresh = new Set();
  #drawing = 0;
  #owed = []; // devices whose past was not asked for yet
  #paced = 0;

  constructor() {
    super();
    this.#live.addEventListener("news", ({ detail }) => this.#hear(detail));
    this.#live.addEventListener("state", ({ detail }) => this.#linked(detail));
  }

  get link() {
    return this.#live.state;
  }

  get devices() {
    return this.status?.devices ?? [];
  }

  get brokers() {
    return this.status?.brokers ?? [];
  }

  device(id) {
    return this.devices.find((one) => one.id === id);
  }

  of(id) {
    if (!this.values.has(id)) this.values.set(id, new DeviceValues(id));
    return this.values.get(id);
  }

  start() {
    this.#on = true;
    this.#found = 0;
    this.refresh();
    this.#live.start();
    this.#recall();
    if (may("admin")) get("settings/trial").then(({ trial }) => this.#on && this.tried(trial), () => {});
  }

  stop() {
    this.#on = false;
    this.#live.stop();
    for (const timer of [this.#timer, this.#hasty, this.#drawing, this.#paced]) clearTimeout(timer);
    this.#hasty = this.#drawing = this.#paced = 0;
    this.status = null;
    this.findings = [];
    this.trial = null;
    this.values.clear();
    this.waves.clear();
    this.#owed = [];
  }

  tried(trial) {
    this.trial = trial;
    for (const name of ["trial", "status"]) this.dispatchEvent(new Event(name));
  }

  // One question at a time; who asks meanwhile waits for the next answer.
  async refresh() {
    if (this.#asking) {
      await this.#asking;
      if (this.#asking) return this.#asking;
    }
    this.#asking = this.#look();
    await this.#asking;
    this.#asking = null;
    return undefined;
  }

  async #look() {
    clearTimeout(this.#timer);
    try {
      const status = await get("status");
      if (!this.#on) return;
      this.#take(status);
      if (Date.now() - this.#found > FINDINGS) {
        this.#found = Date.now();
        this.findings = (await get("doctor")).findings;
        if (this.#on) this.dispatchEvent(new Event("status"));
      }
    } catch (error) {
      if (error.status === 401) return;
    }
    clearTimeout(this.#timer);
    if (this.#on) this.#timer = setTimeout(() => this.refresh(), AGAIN);
  }

  #take(status) {
    this.status = status;
    const known = new Set(status.devices.map((device) => device.id));
    for (const id of this.values.keys()) if (!known.has(id)) this.values.delete(id);
    for (const device of status.devices) {
      if (!this.values.has(device.id)) this.#owed.push(device.id);
      this.of(device.id).limits = device.thresholds ?? {};
    }
    this.#pay();
    this.dispatchEvent(new Event("status"));
  }

  // The newest readings of all at once, then a longer past of each device, one after the other.
  async #recall() {
    try {
      const { readings } = await get(`readings?limit=${PAST}`);
      for (const reading of readings.reverse()) this.#keep(reading, true);
    } catch {
      // nothing is stored yet, or the gateway is not there: what comes will be shown
    }
  }

  #pay() {
    if (this.#paced || !this.#owed.length || !this.#on) return;
    this.#paced = setTimeout(async () => {
      const empty = this.#owed.findIndex((id) => !this.values.get(id)?.last);
      const [id] = this.#owed.splice(Math.max(0, empty), 1);
      try {
        const { readings } = await get(`devices/${at(id)}/data?limit=${PAST_OF_ONE}`);
        if (this.#on && this.values.has(id)) {
          const old = new DeviceValues(id);
          old.limits = this.values.get(id).limits;
          for (const reading of readings.reverse()) old.take(reading);
          this.values.get(id).follow(old);
          this.#changed(id);
        }
      } catch {
        // removed meanwhile
      }
      this.#paced = 0;
      this.#pay();
    }, PACE);
  }

  #hear({ event, data }) {
    if (event === "device.data.received") {
      this.#keep(data, false);
    } else if (event === "settings.trial") {
      this.tried(data);
    } else if (event === "scan") {
      this.dispatchEvent(new CustomEvent("scan", { detail: data }));
    } else if (event !== "hello" && event !== "pong") {
      if (event !== "broker.status") this.#found = 0;
      this.#hasty ||= setTimeout(() => {
        this.#hasty = 0;
        if (this.#on) this.refresh();
      }, SOON);
    }
  }

  #keep(reading, old) {
    const id = reading.device_id;
    if (this.status && !this.values.has(id)) return; // removed, or not known yet
    if (reading.samples && !old) {
      const kept = this.waves.get(id) ?? new Map();
      kept.set(`${reading.metric_type} ${reading.channel ?? ""}`, reading);
      this.waves.set(id, kept);
      this.dispatchEvent(new CustomEvent("wave", { detail: reading }));
    }
    this.of(id).take(reading, old);
    this.#changed(id);
  }

  #changed(id) {
    this.#fresh.add(id);
    this.#drawing ||= setTimeout(() => {
      this.#drawing = 0;
      const fresh = this.#fresh;
      this.#fresh = new Set();
      this.dispatchEvent(new CustomEvent("readings", { detail: fresh }));
    }, DRAW);
  }

  async #linked(link) {
    this.dispatchEvent(new CustomEvent("link", { detail: link }));
    if (link === "lost" || !this.#on) return;
    // After a restart of the agent the session may be over.
    const who = await whoami().catch(() => undefined);
    if (who === null) this.dispatchEvent(new Event("ended"));
    else if (this.#on) this.refresh();
  }
}

export const state = new GatewayState();

// Calls `run` for each event of the state until the view is closed: `const stop = listen({status: f, readings: g})`.
export function listen(runs) {
  for (const [name, run] of Object.entries(runs)) state.addEventListener(name, run);
  return () => {
    for (const [name, run] of Object.entries(runs)) state.removeEventListener(name, run);
  };
}
