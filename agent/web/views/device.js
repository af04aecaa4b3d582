// One device: its values and waveforms, its history, what it is, its commands, and a recording for a fault report.

import { ask, at, get, may, me, parts } from "../core/api.js";
import { HistoryChart } from "../core/chart.js";
import { download, el, mark, pairs, show, table, text } from "../core/dom.js";
import { age, clock, flag, nameOf, number, quantity, said, size, span, unit, when, words } from "../core/format.js";
import { history } from "../core/history.js";
import { known, t } from "../core/i18n.js";
import { button, card, failed, fill, heading, inline, mainValues, plain, showValue, sign, tell } from "../core/parts.js";
import { go, link } from "../core/router.js";
import { listen, state } from "../core/state.js";
import { labelOf, reasonWords, signOf } from "../core/trouble.js";
import { valuesOf } from "../core/values.js";
import { Waveform } from "../core/waveform.js";
import { confirm } from "../forms/form.js";
import { outcome, sendCommand } from "./command.js";
import { RefusedMessages } from "./refused-messages.js";
import { WaveHistory } from "./wave-history.js";

const HOUR = 3600000;
const RANGES = { "10m": HOUR / 6, "1h": HOUR, "6h": 6 * HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR, "30d": 720 * HOUR };
const WAVES = 4;
const READINGS = 12;
const SLOWLY = 5000;
const FEW = 60; // points
const anew = (points) => (points < FEW ? 5000 : 30000); // milliseconds after which the history is read again: a short one grows fast

class HistoryPanel {
  #chart = new HistoryChart();
  #names = el("div", { class: "choices", role: "group", "aria-label": t("history") });
  #ranges = el("div", { class: "choices", role: "group", "aria-label": t("range") });
  #note = el("p", { class: "soft" });
  #exports = el("span", { class: "links" });
  #device;
  #name = null;
  #code = null;
  #range = "1h";
  #young = true; // nobody has chosen a range: a history that has just begun is shown from near
  #zoomed = null; // {from, to}
  #drawn = null;
  #turn = 0;
  #timer = 0;

  constructor(device) {
    this.#device = device;
    this.element = el("section", { class: "card history", "aria-label": t("history") }, el("div", { class: "head" }, this.#names, this.#ranges), this.#chart.element, el("p", { class: "foot" }, this.#note, this.#exports));
    this.#chart.addEventListener("zoom", ({ detail }) => {
      const whole = RANGES[this.#range];
      const late = Math.max(0, detail.to - Date.now()); // what is still to come is not looked at
      this.#zoomed = detail.to - detail.from > whole ? null : { from: detail.from - late, to: detail.to - late };
      this.load();
    });
    for (const range of Object.keys(RANGES)) this.#ranges.append(button(t(`range.${range}`), () => this.#choose(range), { class: "choice", "data-range": range }));
    this.#exports.append(inline("CSV", () => this.#csv()), " · ", inline("PNG", () => this.#png()));
    this.#mark();
  }

  close() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#chart.close();
  }

  // The values that can be drawn.
  offer(names) {
    show(this.element, names.length > 0);
    const told = names.join();
    if (this.#names.dataset.told === told) return;
    this.#names.dataset.told = told;
    this.#names.replaceChildren(...names.map((name) => button(nameOf(name), () => this.#pick(name), { class: "choice", "data-name": name, title: name })));
    if (!names.includes(this.#name)) this.#pick(names[0] ?? null);
    else this.#mark();
  }

  #choose(range) {
    this.#range = range;
    this.#young = false;
    this.#zoomed = null;
    this.load();
  }

  #pick(name, code = null) {
    this.#name = name;
    this.#code = code; // a unit, where a value came in more than one
    this.load();
  }

  #mark() {
    for (const one of this.#ranges.children) one.setAttribute("aria-pressed", String(one.dataset.range === this.#range && !this.#zoomed));
    for (const one of this.#names.children) one.setAttribute("aria-pressed", String(one.dataset.name === this.#name));
  }

  async load() {
    const turn = (this.#turn += 1);
    clearTimeout(this.#timer);
    this.#mark();
    if (this.#name === null) return;
    let again = anew(0);
    const name = this.#name;
    const now = Date.now();
    const { from, to } = this.#zoomed ?? { from: now - RANGES[this.#range], to: now };
    const values = state.values.get(this.#device);
    const metric = values?.latest.get(name)?.metric;
    try {
      const found = await history(this.#device, { name, metric, from, to, code: this.#code ?? values?.latest.get(name)?.unit });
      if (turn !== this.#turn) return;
      const { points, step } = found;
      if (this.#young && !this.#zoomed && points.length && points[0].time - step > now - RANGES["10m"]) {
        this.#choose("10m");
        return;
      }
      if (points.length) this.#young = false;
      again = anew(points.length);
      const code = found.code ?? values?.latest.get(name)?.unit;
      this.#drawn = { name, from, to, points, step, code };
      this.#chart.set({ name, title: nameOf(name), code, points, step, from, to, limits: values?.limits[name] });
      const told = [step ? t("chart.bucket", { span: span(step / 1000) }) : points.length ? t("chart.each") : t("chart.empty")];
      if (found.since) told.push(t("chart.part", { time: when(found.since) }));
      if (points.length) told.push(t("chart.zoom"));
      if (values?.limits[name]) told.push(t("no-alarm"));
      const others = found.units.filter((one) => one !== found.code).map((one) => [" · ", inline(t("chart.unit", { unit: unit(one) || "–" }), () => this.#pick(name, one))]);
      this.#note.replaceChildren(told.join(" · "), ...others.flat(), ...(this.#zoomed ? [" · ", inline(t("chart.whole"), () => this.#choose(this.#range))] : []));
    } catch (error) {
      if (turn === this.#turn) text(this.#note, failed(error));
    }
    if (turn === this.#turn && !this.#zoomed) this.#timer = setTimeout(() => this.load(), again);
  }

  // What is shown: points with least, mean and most, or each reading.
  #csv() {
    const { name, points, step, code } = this.#drawn ?? { points: [] };
    if (!points.length) return;
    const iso = (time) => new Date(time).toISOString();
    const quoted = `"${(code ?? "").replaceAll('"', '""')}"`;
    const lines = step
      ? points.map(({ time, n, min, mean, max }) => [iso(time - step / 2), step / 1000, n, min, mean, max, quoted])
      : points.map(({ time, mean }) => [iso(time), mean, quoted]);
    const head = step ? ["time", "seconds", "readings", `${name}_least`, `${name}_mean`, `${name}_most`, "unit"] : ["time", name, "unit"];
    download(`${this.#device}-${name}.csv`, [head, ...lines].map((line) => `${line}\r\n`).join(""), "text/csv");
  }

  async #png() {
    if (!this.#drawn) return;
    const { name, from, to } = this.#drawn;
    const label = labelOf(state.device(this.#device) ?? { id: this.#device });
    download(`${this.#device}-${name}.png`, await this.#chart.picture(`${label}: ${nameOf(name)}, ${when(from)} – ${when(to)}`));
  }
}

// The raw bytes of the device as a file, until it is stopped.
class RawRecorder {
  #stop = null;
  #state = el("span", { class: "soft", role: "status" });

  constructor(device) {
    this.device = device;
    this.button = plain(t("record"), () => (this.#stop ? this.#stop.abort() : this.#run()));
    this.element = el("div", {}, el("p", { class: "hint" }, t("record.hint")), el("div", { class: "actions" }, this.button, this.#state));
  }

  close() {
    this.#stop?.abort();
  }

  async #run() {
    this.#stop = new AbortController();
    text(this.button, t("record.stop"));
    const kept = [];
    let length = 0;
    try {
      for await (const part of parts("GET", `devices/${at(this.device)}/raw`, { signal: this.#stop.signal })) {
        kept.push(part);
        length += part.length;
        text(this.#state, t("record.running", { size: size(length) }));
      }
    } catch (error) {
      text(this.#state, error.name === "AbortError" ? "" : failed(error));
    }
    this.#stop = null;
    text(this.button, t("record"));
    if (kept.length) download(`${this.device}.rec`, new Blob(kept));
  }
}

export function open(main, id) {
  const chip = el("span", { class: "chip" });
  const shown = sign();
  chip.append(shown);
  const room = el("span", { class: "chip", hidden: true });
  const patient = el("span", { class: "chip", hidden: true });
  const label = () => labelOf(state.device(id) ?? { id });
  const title = () => heading({
    title: label(), crumbs: [[t("place.devices"), "#/devices"]], chips: [chip, room, patient],
    actions: [
      may("operator") ? plain(t("command"), () => sendCommand(id, label(), commands), { "aria-label": `${t("command")}: ${id}`, id: "command" }) : null,
      may("admin") ? el("a", { class: "button plain", href: link("devices", id, "settings"), id: "edit" }, t("place.settings")) : null,
      may("admin") ? plain(t("remove"), remove, { id: "remove", "aria-label": `${t("remove")}: ${id}` }) : null,
    ],
  });
  const reason = el("p", { class: "notice", hidden: true });
  const values = el("dl", { class: "values" });
  const waves = new Map();
  const plots = el("div");
  const note = el("p", { class: "foot" });
  const panel = new HistoryPanel(id);
  const stored = new WaveHistory(id);
  const latest = el("div");
  const readings = card(t("readings"), latest);
  const facts = el("dl", { class: "pairs" });
  const ledger = el("div");
  const recorder = may("operator") ? new RawRecorder(id) : null;
  const left = el("div", {}, panel.element, stored.element, readings);
  let untaken = null; // once it is known to speak MQTT
  const rows = [];
  let titled = "";
  let over = false;
  title();
  const columns = el("div", { class: "columns device", "data-name": id }, left,
    el("div", {}, el("section", { class: "card", "aria-label": t("col.value") }, values, plots, note), card(t("about"), facts), card(t("last-commands"), ledger), recorder ? card(t("record"), recorder.element) : null));
  main.append(reason, columns);

  function all() {
    const device = state.device(id);
    const missing = Boolean(state.status) && !device;
    show(columns, !missing);
    for (const one of [chip, ...document.querySelectorAll("#head .actions > *")]) show(one, !missing);
    if (missing) {
      text(reason, t("device.missing"));
      show(reason, true);
    }
    if (!device) return;
    if (titled !== labelOf(device)) {
      titled = labelOf(device);
      title();
    }
    if (!untaken && device.driver === "mqtt" && may("operator")) left.append((untaken = new RefusedMessages(id)).element);
    const look = signOf(device);
    tell(shown, look);
    text(room, device.room);
    show(room, device.room);
    const why = said(device.message, device.hint);
    text(reason, why);
    mark(reason, `notice ${look.kind}`);
    show(reason, why !== "" && look.kind !== "good");
    const faults = Object.entries(device.faults ?? {}).filter(([, count]) => count > 0).map(([kind, count]) => `${words(kind)} ${number(count)}`);
    pairs(facts, [
      [t("about.id"), id],
      [t("about.driver"), device.driver],
      [t("about.port"), device.port],
      [t("about.since"), when(device.since)],
      [t("about.readings"), number(device.readings)],
      [t("about.every"), device.every ? span(device.every) : t("about.each")],
      [t("about.faults"), faults.join(", ")],
      [t("about.reconnects"), device.reconnects || ""],
      [t("about.bytes"), device.bytes ? size(device.bytes) : ""],
      [t("about.brokers"), device.brokers?.join(", ") ?? t("about.all-brokers")],
      [t("about.battery"), typeof device.battery === "number" ? quantity(device.battery, "%") : ""],
      [t("about.signal"), typeof device.signal_strength === "number" ? quantity(device.signal_strength, "dBm") : ""],
      [t("about.firmware"), device.firmware],
      [t("about.next"), device.next_retry_in === null ? "" : t("in", { span: span(device.next_retry_in) })],
    ]);
    draw();
  }

  function draw() {
    const kept = state.values.get(id);
    if (!kept) return;
    const names = mainValues(kept, 12);
    fill(values, names.length);
    names.forEach((name, at_) => showValue(values.children[at_], name, kept.latest.get(name), kept.beyond(name, kept.latest.get(name).value)));
    panel.offer([...kept.latest].filter(([, one]) => typeof one.value === "number" || one.value === null).map(([name]) => name).slice(0, 8));
    const { last } = kept;
    text(patient, last?.patient_id ? t("about.patient", { patient: last.patient_id }) : "");
    show(patient, last?.patient_id);
    if (!last) {
      text(note, t("no-reading"));
      return;
    }
    const remarks = [last.quality && last.quality !== "good" ? t("about.quality", { quality: flag(last.quality) }) : "", ...(last.flags ?? []).map(flag), last.clock && last.clock !== "synchronised" ? t("about.clock", { clock: t("clock.bad") }) : ""];
    note.replaceChildren(el("span", {}, age(last.timestamp)), el("span", {}, remarks.filter(Boolean).join(", ")));
    list(last, kept);
  }

  function list(reading, kept) {
    if (reading && !reading.samples && rows[0]?.id !== reading.id) rows.unshift(reading);
    rows.length = Math.min(rows.length, READINGS);
    show(readings, rows.length > 0 || !kept.last?.samples);
    const names = [...new Set(rows.flatMap((row) => valuesOf(row).map(([name]) => name)))].slice(0, 5);
    const cell = (row, name) => {
      const value = row[name];
      return el("span", { class: kept.beyond(name, value) ? "bad" : "" }, value === undefined || value === null ? "–" : quantity(value, row.units?.[name]));
    };
    latest.replaceChildren(table(t("readings"), [t("col.time"), ...names.map(nameOf), t("col.quality")], rows.map((row) => [
      clock(row.timestamp), ...names.map((name) => cell(row, name)), [known(`quality.${row.quality}`, flag(row.quality ?? "good")), ...(row.flags ?? []).map(reasonWords)].join(", "),
    ]), t("no-reading")));
  }

  function wave({ detail: block }) {
    if (block.device_id !== id) return;
    const name = block.channel ?? block.metric_type;
    const key = `${block.metric_type} ${name}`;
    if (!waves.has(key)) {
      if (waves.size >= WAVES) return;
      waves.set(key, new Waveform(name));
      plots.append(waves.get(key).element);
    }
    waves.get(key).add(block);
    stored.offer(block);
  }

  async function commands() {
    try {
      const found = (await get(`devices/${at(id)}/commands?limit=5`)).commands;
      ledger.replaceChildren(table(t("last-commands"), [t("col.when"), t("col.command"), t("col.status")], found.map((entry) => [when(entry.recorded), entry.command, outcome(entry.status)]), t("no-commands")));
    } catch (error) {
      ledger.replaceChildren(el("p", { class: "soft" }, failed(error)));
    }
  }

  async function past() {
    const { readings } = await get(`devices/${at(id)}/data?limit=${READINGS}`).catch(() => ({ readings: [] }));
    const wave = readings.find((reading) => reading.samples);
    if (wave && !over) stored.offer(wave);
    rows.push(...readings.filter((reading) => !reading.samples && !rows.some((row) => row.id === reading.id)));
    if (state.values.get(id)) list(null, state.values.get(id));
  }

  function remove() {
    confirm(t("remove.device", { label: label() }), t("remove.device.words"), t("remove"), async () => {
      await ask("DELETE", `devices/${at(id)}`);
      await state.refresh();
      go("#/devices");
    }, t("removed", { label: label() }));
  }

  const stop = listen({ status: all, readings: ({ detail }) => detail.has(id) && draw(), wave });
  const timer = setInterval(() => state.values.get(id) && draw(), SLOWLY);
  for (const block of state.waves.get(id)?.values() ?? []) wave({ detail: block });
  all();
  past();
  if (me()) commands();
  return {
    close() {
      over = true;
      clearInterval(timer);
      stop();
      panel.close();
      stored.close();
      recorder?.close();
      untaken?.close();
      for (const one of waves.values()) one.end();
    },
  };
}
