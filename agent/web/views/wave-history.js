// Stored waveforms of a device: some seconds of a chosen time, and a step back or on.

import { at, get } from "../core/api.js";
import { download, el, show, text } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { failed, inline, plain } from "../core/parts.js";
import { WaveStrip } from "../core/wave-strip.js";

const SECONDS = 10; // that are shown at once
const MOST = 1000; // readings of one answer, numbers among them
const AROUND = 2; // seconds: a block bears the time of its end

const nameOf = (reading) => reading.channel ?? reading.metric_type;
const iso = (time) => new Date(time * 1000).toISOString();
// For <input type="datetime-local">, which has no zone.
const local = (time) => new Date((time - new Date(time * 1000).getTimezoneOffset() * 60) * 1000).toISOString().slice(0, 19);

export class WaveHistory {
  #device;
  #from = 0; // seconds since 1970
  #strips = new Map();
  #turn = 0;
  #time = el("input", { type: "datetime-local", step: 1, "aria-label": t("wave.time") });
  #place = el("div");
  #note = el("p", { class: "soft", role: "status" });

  constructor(device) {
    this.#device = device;
    const steps = [plain(t("wave.earlier", { n: SECONDS }), () => this.#go(this.#from - SECONDS), { id: "wave-earlier" }), plain(t("wave.later", { n: SECONDS }), () => this.#go(this.#from + SECONDS), { id: "wave-later" })];
    this.element = el("section", { class: "card", "aria-label": t("wave.stored"), hidden: true }, el("h2", {}, t("wave.stored")), el("div", { class: "filters" }, this.#time, steps), this.#place, el("p", { class: "foot" }, this.#note, el("span", { class: "links" }, inline("CSV", () => this.#csv()))));
    this.#time.addEventListener("change", () => this.#time.value && this.#go(new Date(this.#time.value).getTime() / 1000));
  }

  // There are waveforms: the newest that is stored is shown, once.
  offer(reading) {
    if (!this.element.hidden) return;
    show(this.element, true);
    this.#go(Math.floor(Date.parse(reading.timestamp) / 1000) - SECONDS);
  }

  close() {
    this.#turn += 1;
    for (const strip of this.#strips.values()) strip.close();
  }

  async #go(from) {
    const turn = (this.#turn += 1);
    this.#from = from;
    this.#time.value = local(from);
    try {
      const asked = new URLSearchParams({ since: iso(from - AROUND), until: iso(from + SECONDS + AROUND), limit: MOST });
      const { readings, cursor } = await get(`devices/${at(this.#device)}/data?${asked}`);
      if (turn !== this.#turn) return;
      const waves = readings.filter((reading) => reading.samples).reverse();
      this.#draw(waves);
      text(this.#note, cursor ? t("wave.part") : waves.length ? "" : t("wave.none", { n: SECONDS }));
    } catch (error) {
      if (turn === this.#turn) text(this.#note, failed(error));
    }
  }

  #draw(waves) {
    const names = [...new Set(waves.map(nameOf))];
    for (const [name, strip] of this.#strips) {
      if (names.includes(name)) continue;
      strip.close();
      strip.element.remove();
      this.#strips.delete(name);
    }
    for (const name of names) {
      if (!this.#strips.has(name)) this.#strips.set(name, new WaveStrip(name));
      const strip = this.#strips.get(name);
      this.#place.append(strip.element);
      strip.set(waves.filter((reading) => nameOf(reading) === name), this.#from, this.#from + SECONDS);
    }
  }

  #csv() {
    const rows = [...this.#strips].flatMap(([name, strip]) => strip.points.map(([time, value]) => `${new Date(time).toISOString()},${name},${value}\r\n`));
    if (rows.length) download(`${this.#device}-waveforms.csv`, ["time,name,value\r\n", ...rows].join(""), "text/csv");
  }
}
