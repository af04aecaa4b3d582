// A trend of one value (SVG) and a running waveform (canvas).

import { el, number, text, unit, words } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 240;
const STEP = 500; // milliseconds: a trend takes the newest value in so much time
const WINDOW = 8; // seconds of a waveform
const JUMP = 0.35; // seconds by which a block may be late without being a gap
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Trend {
  #points = [];
  #line = document.createElementNS(SVG, "polyline");
  #caption = el("figcaption");

  constructor(name) {
    this.name = name;
    this.picture = document.createElementNS(SVG, "svg");
    this.picture.setAttribute("class", "plot");
    this.picture.setAttribute("viewBox", "0 0 100 40");
    this.picture.setAttribute("preserveAspectRatio", "none");
    this.picture.setAttribute("role", "img");
    this.picture.append(this.#line);
    this.element = el("figure", { class: "trend", hidden: true }, this.picture, this.#caption);
  }

  add(time, value) {
    const last = this.#points.at(-1);
    if (last && time < last[0]) return;
    if (last && time - last[0] < STEP) last[1] = value;
    else this.#points.push([time, value]);
    if (this.#points.length > POINTS) this.#points.shift();
  }

  draw(code) {
    const points = this.#points;
    this.element.hidden = points.length < 2;
    if (points.length < 2) return;
    const values = points.map((point) => point[1]);
    const low = Math.min(...values);
    const high = Math.max(...values);
    const first = points[0][0];
    const wide = points.at(-1)[0] - first || 1;
    const tall = high - low;
    const place = ([time, value]) =>
      `${(((time - first) / wide) * 100).toFixed(2)},${(tall ? 38 - ((value - low) / tall) * 36 : 20).toFixed(2)}`;
    this.#line.setAttribute("points", points.map(place).join(" "));
    const told = `${words(this.name)}: ${number(low)} to ${number(high)} ${unit(code)} since ${new Date(first).toLocaleTimeString()}`;
    this.picture.setAttribute("aria-label", `Trend of ${told}`);
    text(this.#caption, told);
  }
}

export class Wave {
  #blocks = []; // {time, start, end, values}: seconds; start > end of the one before = a gap
  #canvas = el("canvas", { class: "plot", role: "img" });
  #caption = el("figcaption");
  #edge = 0;
  #then = 0;
  #frame = 0;
  #gaps = 0;

  constructor(name) {
    this.name = name;
    this.element = el("figure", { class: "wave" }, this.#canvas, this.#caption);
    this.#canvas.setAttribute("aria-label", `Waveform ${words(name)}`);
  }

  add(reading) {
    const { samples, rate_hz: rate, scale = 1, offset = 0 } = reading;
    if (!samples.length || !(rate > 0)) return;
    const long = samples.length / rate;
    const time = Date.parse(reading.timestamp) / 1000;
    const last = this.#blocks.at(-1);
    // The clock of the device sets the pace: a block follows the one before unless it says so, or comes far too late.
    let start = time - long;
    if (last) {
      const late = time - last.time - long;
      const lost = (reading.lost_samples ?? 0) / rate;
      const gap = (reading.flags ?? []).includes("gap") || late > JUMP + long / 2;
      start = last.end + (gap ? Math.max(0.02, late, lost) : 0);
      if (gap) this.#gaps += 1;
    }
    this.#blocks.push({ time, start, end: start + long, values: Float32Array.from(samples, (sample) => sample * scale + offset) });
    while (this.#blocks.length && this.#blocks[0].end < start + long - WINDOW - 3) this.#blocks.shift();
    const lost = this.#gaps ? `, ${this.#gaps} gap${this.#gaps > 1 ? "s" : ""} seen` : "";
    text(this.#caption, `${words(this.name)}: ${number(rate)} Hz, ${unit(reading.unit) || "raw"}${lost}`);
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
    pen.strokeStyle = colours.getPropertyValue("--trace");
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
