// Running waveform on a canvas, at the pace of the samples' own clock.

import { el, text } from "./dom.js";
import { nameOf, number, unit } from "./format.js";
import { t } from "./i18n.js";

const WINDOW = 8; // seconds of a waveform
const JUMP = 0.35; // seconds by which a block may be late without being a gap
const still = matchMedia("(prefers-reduced-motion: reduce)");

// A block of samples after the one before it, {time, start, end, values, gap}, in seconds. The clock of the device sets the
// pace: a block follows the one before unless it says so, or comes far too late.
export function placeBlock(reading, last) {
  const { samples, rate_hz: rate, scale = 1, offset = 0 } = reading;
  if (!samples?.length || !(rate > 0)) return null;
  const long = samples.length / rate;
  const time = Date.parse(reading.timestamp) / 1000;
  const late = last ? time - last.time - long : 0;
  const gap = last !== undefined && ((reading.flags ?? []).includes("gap") || late > JUMP + long / 2);
  const start = last ? last.end + (gap ? Math.max(0.02, late, (reading.lost_samples ?? 0) / rate) : 0) : time - long;
  return { time, start, end: start + long, values: Float32Array.from(samples, (sample) => sample * scale + offset), gap };
}

export class Waveform {
  #blocks = []; // as placeBlock makes them; start > end of the one before = a gap
  #canvas = el("canvas", { class: "plot", role: "img" });
  #caption = el("figcaption");
  #edge = 0;
  #then = 0;
  #frame = 0;
  #gaps = 0;

  constructor(name) {
    this.name = name;
    this.element = el("figure", { class: "wave" }, this.#canvas, this.#caption);
    this.#canvas.setAttribute("aria-label", t("wave.label", { name: nameOf(name) }));
  }

  add(reading) {
    const block = placeBlock(reading, this.#blocks.at(-1));
    if (!block) return;
    if (block.gap) this.#gaps += 1;
    this.#blocks.push(block);
    while (this.#blocks.length && this.#blocks[0].end < block.end - WINDOW - 3) this.#blocks.shift();
    const gaps = this.#gaps ? t("wave.gaps", { n: this.#gaps }) : "";
    const told = [t("wave", { name: nameOf(this.name), rate: number(reading.rate_hz) }), unit(reading.unit) || t("raw"), gaps];
    text(this.#caption, told.filter(Boolean).join(", "));
    this.#canvas.dataset.blocks = Number(this.#canvas.dataset.blocks ?? 0) + 1;
    this.#canvas.dataset.gaps = this.#gaps;
    if (!this.#frame) this.#frame = requestAnimationFrame((now) => this.#step(now));
  }

  end() {
    cancelAnimationFrame(this.#frame);
  }

  #step(now) {
    this.#frame = 0;
    const newest = this.#blocks.at(-1);
    if (!newest) return;
    const passed = Math.min(0.1, (now - this.#then) / 1000);
    this.#then = now;
    const behind = newest.end - this.#edge;
    // It runs at the pace of time, at most one block and a bit behind what has come.
    if (still.matches || behind < 0 || behind > newest.end - newest.start + 1) this.#edge = newest.end - (still.matches ? 0 : newest.end - newest.start);
    else this.#edge = Math.min(newest.end, this.#edge + passed);
    this.#draw();
    if (this.#edge < newest.end) this.#frame = requestAnimationFrame((next) => this.#step(next));
  }

  #draw() {
    const canvas = this.#canvas;
    const ratio = devicePixelRatio || 1;
    const wide = Math.round(canvas.clientWidth * ratio);
    const tall = Math.round(canvas.clientHeight * ratio);
    if (!wide || !tall) return;
    if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
    const pen = canvas.getContext("2d");
    const colours = getComputedStyle(canvas);
    const from = this.#edge - WINDOW;
    const x = (time) => ((time - from) / WINDOW) * wide;
    let low = Infinity;
    let high = -Infinity;
    for (const block of this.#blocks) {
      if (block.end < from) continue;
      for (const value of block.values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const range = high - low || 1;
    const y = (value) => tall - 4 - ((value - low) / range) * (tall - 8);
    pen.clearRect(0, 0, wide, tall);
    pen.strokeStyle = colours.getPropertyValue("--accent");
    pen.fillStyle = colours.getPropertyValue("--hole");
    pen.lineWidth = 1.5 * ratio;
    pen.beginPath();
    let before = null;
    for (const block of this.#blocks) {
      const apart = before !== null && block.start > before;
      if (apart) pen.fillRect(x(before), 0, x(block.start) - x(before), tall);
      const step = (block.end - block.start) / block.values.length;
      block.values.forEach((value, at) => {
        const time = block.start + at * step;
        if (time < from || time > this.#edge) return;
        if (at === 0 && (apart || before === null)) pen.moveTo(x(time), y(value));
        else pen.lineTo(x(time), y(value));
      });
      before = block.end;
    }
    pen.stroke();
  }
}
