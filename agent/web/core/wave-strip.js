// Stored waveform of some seconds on a canvas: a line for each second, gaps as they are.

import { el, text } from "./dom.js";
import { clock, nameOf, number, unit } from "./format.js";
import { t } from "./i18n.js";
import { placeBlock } from "./waveform.js";

const TALL = 18; // pixels below the curve, for the times

export class WaveStrip {
  #canvas = el("canvas", { class: "plot strip", role: "img" });
  #caption = el("figcaption");
  #shown = { blocks: [], from: 0, to: 1 };
  #watch = new ResizeObserver(() => this.#draw());

  constructor(name) {
    this.name = name;
    this.element = el("figure", { class: "stored-wave" }, this.#canvas, this.#caption);
    this.#watch.observe(this.#canvas);
  }

  close() {
    this.#watch.disconnect();
  }

  // `readings` with samples, the oldest first; from and to in seconds.
  set(readings, from, to) {
    const blocks = [];
    for (const reading of readings) {
      const block = placeBlock(reading, blocks.at(-1));
      if (block) blocks.push(block);
    }
    this.#shown = { blocks, from, to };
    const { rate_hz: rate, unit: code } = readings[0] ?? {};
    text(this.#caption, [t("wave", { name: nameOf(this.name), rate: number(rate) }), unit(code) || t("raw")].join(", "));
    this.#canvas.setAttribute("aria-label", t("wave.from", { name: nameOf(this.name), from: clock(from * 1000), to: clock(to * 1000) }));
    this.#canvas.dataset.blocks = blocks.length;
    this.#draw();
  }

  // [[time in milliseconds, value], ...] of what is shown.
  get points() {
    const { blocks, from, to } = this.#shown;
    return blocks.flatMap(({ start, end, values }) => Array.from(values, (value, at) => [start + (at * (end - start)) / values.length, value])).filter(([time]) => time >= from && time < to).map(([time, value]) => [time * 1000, value]);
  }

  #draw() {
    const canvas = this.#canvas;
    const ratio = devicePixelRatio || 1;
    const [wide, tall] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!wide || !tall) return;
    [canvas.width, canvas.height] = [wide, tall];
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const { blocks, from, to } = this.#shown;
    const x = (time) => ((time - from) / (to - from)) * wide;
    const bottom = tall - TALL * ratio;
    let [low, high] = [Infinity, -Infinity];
    for (const { values } of blocks) {
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const y = (value) => bottom - 4 - ((value - low) / (high - low || 1)) * (bottom - 8);
    pen.lineWidth = ratio;
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.fillStyle = style.getPropertyValue("--soft");
    pen.font = `${12 * ratio}px ${style.fontFamily}`;
    pen.textAlign = "center";
    const sparse = Math.ceil((to - from) / Math.max(2, wide / ratio / 80)); // seconds between two words
    for (let at = Math.ceil(from); at < to; at += 1) {
      pen.beginPath();
      pen.moveTo(x(at), 0);
      pen.lineTo(x(at), bottom);
      pen.stroke();
      if (at % sparse === 0 && x(at) > 30 * ratio && x(at) < wide - 30 * ratio) pen.fillText(clock(at * 1000), x(at), tall - 4 * ratio);
    }
    pen.strokeStyle = style.getPropertyValue("--accent");
    pen.fillStyle = style.getPropertyValue("--hole");
    pen.lineWidth = 1.5 * ratio;
    let before = null;
    pen.beginPath();
    for (const { start, end, values } of blocks) {
      const apart = before !== null && start > before;
      if (apart) pen.fillRect(x(before), 0, x(start) - x(before), bottom);
      values.forEach((value, at) => {
        const place = x(start + (at * (end - start)) / values.length);
        if (at === 0 && (apart || before === null)) pen.moveTo(place, y(value));
        else pen.lineTo(place, y(value));
      });
      before = end;
    }
    pen.stroke();
  }
}
