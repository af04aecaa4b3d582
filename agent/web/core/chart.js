// Chart of one value over time: axes with round steps, limits, gaps, and a band from least to most where points stand for
// many readings. The functions before the class are pure; times are milliseconds since 1970.

import { el, text } from "./dom.js";
import { clock, day, hour, number, quantity, span, unit, when } from "./format.js";
import { t } from "./i18n.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 5 * DAY, 10 * DAY];
// Scales that are always shown, or that a curve is never drawn larger than: noise must not look like a fall.
const ALWAYS = { spo2: [80, 100], spo2_fast: [80, 100], spo2_slow: [80, 100], humidity: [0, 100], battery: [0, 100] };
const SPAN = { temperature: 2, heart_rate: 40, pulse_rate: 40, systolic: 60, diastolic: 60, mean: 60, glucose: 4, respiration_rate: 10, weight: 2 };
const GAP = 6; // times the usual distance of two points is a gap, and
const GAP_LEAST = 5 * SECOND;
const EDGE = { left: 48, right: 12, top: 24, bottom: 28 }; // pixels
const LINE = 18; // pixels that a line of text needs
const DRAGGED = 8; // pixels: less is a click

// From and to of the scale: with the values and nearby limits inside, and a sensible least span.
export function scaleOf(name, values, limits = {}) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) [low, high] = ALWAYS[name] ?? [0, 1];
  const reach = Math.max(high - low, SPAN[name] ?? 0, Math.abs(high) * 0.02);
  for (const value of [limits?.min, limits?.max]) {
    if (typeof value !== "number") continue;
    if (value < low && low - value <= 2 * reach) low = value;
    if (value > high && value - high <= 2 * reach) high = value;
  }
  if (name in ALWAYS) return [Math.min(low, ALWAYS[name][0]), Math.max(high, ALWAYS[name][1])];
  const least = Math.max(SPAN[name] ?? 0, Math.abs(high + low) * 0.01) || 1;
  if (high - low < least) {
    const middle = (high + low) / 2;
    return [middle - least / 2, middle + least / 2];
  }
  const room = (high - low) * 0.05;
  return [low - room, high + room];
}

// Round values within the scale, about `most` of them.
export function valueTicks(low, high, most = 5) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough - 1e-12);
  const ticks = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * step; at += 1) ticks.push(Number((at * step).toPrecision(12)));
  return ticks;
}

// Round times of the person's own day, at most `most` of them, with their step.
export function timeTicks(from, to, most = 7) {
  const step = TIME_STEPS.find((one) => (to - from) / one <= most) ?? Math.ceil((to - from) / most / DAY) * DAY;
  const ticks = [];
  const start = new Date(from);
  start.setHours(0, 0, 0, 0);
  if (step >= DAY) {
    for (const at = start; at <= to; at.setDate(at.getDate() + step / DAY)) if (at >= from) ticks.push(at.getTime());
  } else {
    const shift = start.getTimezoneOffset() * MINUTE;
    for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) ticks.push(at);
  }
  return { step, ticks };
}

// The longest distance of two points that a line may cross.
export function gapOf(points, step) {
  if (points.length < 3) return Infinity;
  const distances = points.slice(1).map((point, at) => point.time - points[at].time).sort((one, other) => one - other);
  return Math.max(GAP_LEAST, step * 2.5, GAP * distances[Math.floor(distances.length / 2)]);
}

// Stretches without data: [[from, to], ...], between points, before the first and after the last.
export function gapsOf(points, gap, from, to) {
  const times = [from, ...points.map((point) => point.time), to].filter((time) => time !== undefined);
  return times.slice(1).map((time, at) => [times[at], time]).filter(([before, after]) => after - before > gap);
}

// Events: "zoom" (detail: {from, to}).
export class HistoryChart extends EventTarget {
  #canvas = el("canvas", { class: "chart", role: "img", tabindex: 0, "aria-label": t("history") });
  #tip = el("output", { class: "tip", hidden: true });
  #data = { name: "", points: [], from: 0, to: 1, step: 0, limits: {} };
  #mark = -1; // the point that is read
  #drag = null; // [from, to] in pixels
  #fingers = new Map();
  #watch = new ResizeObserver(() => this.draw());

  constructor() {
    super();
    this.element = el("div", { class: "plot" }, this.#canvas, this.#tip);
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", () => this.#end());
    canvas.addEventListener("pointerleave", () => this.#drag || this.#read(-1));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#read(-1));
    this.#watch.observe(canvas);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", this.#recolour);
  }

  #recolour = () => this.draw();

  // {name, title, code: unit, points, step: milliseconds of a point or 0, from, to, limits: {min, max}}
  set(data) {
    this.#data = data;
    this.#read(-1);
    this.#describe();
    this.draw();
  }

  close() {
    this.#watch.disconnect();
    this.dark.removeEventListener("change", this.#recolour);
  }

  // The chart as an image, with a line above that says what it is.
  picture(words) {
    const from = this.#canvas;
    const pen = el("canvas", { width: from.width, height: from.height + 40 }).getContext("2d");
    const style = getComputedStyle(from);
    pen.fillStyle = style.getPropertyValue("--card");
    pen.fillRect(0, 0, from.width, from.height + 40);
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.font = `16px ${style.fontFamily}`;
    pen.fillText(words, 12, 26);
    pen.drawImage(from, 0, 40);
    return new Promise((done) => pen.canvas.toBlob(done, "image/png"));
  }

  #describe() {
    const { points, title, code, from, to } = this.#data;
    const low = Math.min(...points.map((point) => point.min));
    const high = Math.max(...points.map((point) => point.max));
    const words = { name: title, from: when(from), to: when(to), low: quantity(low, code), high: quantity(high, code) };
    this.#canvas.setAttribute("aria-label", points.length ? t("chart.of", words) : `${title}: ${t("chart.empty")}`);
    this.#canvas.dataset.points = points.length;
  }

  #box() {
    const { clientWidth, clientHeight } = this.#canvas;
    return { left: EDGE.left, top: EDGE.top, wide: Math.max(1, clientWidth - EDGE.left - EDGE.right), tall: Math.max(1, clientHeight - EDGE.top - EDGE.bottom) };
  }

  #timeAt(x) {
    const { from, to } = this.#data;
    const box = this.#box();
    return from + (Math.min(1, Math.max(0, (x - box.left) / box.wide))) * (to - from);
  }

  draw() {
    const canvas = this.#canvas;
    const ratio = devicePixelRatio || 1;
    const [wide, tall] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!wide || !tall) return;
    if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    const { name, points, from, to, limits, code, step } = this.#data;
    const box = this.#box();
    const [low, high] = scaleOf(name, points.flatMap((point) => [point.min, point.max]), limits);
    const x = (time) => box.left + ((time - from) / (to - from)) * box.wide;
    const y = (value) => box.top + box.tall - ((value - low) / (high - low)) * box.tall;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colour("--card");
    pen.fillRect(0, 0, wide, tall);
    pen.font = `12px ${style.fontFamily}`;
    pen.lineWidth = 1;
    this.#axes(pen, colour, { box, x, y, low, high, from, to, code });
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top, box.wide, box.tall);
    pen.clip();
    const gap = gapOf(points, step);
    const gaps = gapsOf(points, gap, from, Math.min(to, Date.now()));
    canvas.dataset.gaps = gaps.length;
    this.#gaps(pen, colour, { box, x, gaps });
    this.#limits(pen, colour, { box, y, low, high, limits, code });
    this.#curve(pen, colour, { x, y, points, gap, step });
    if (this.#drag) {
      pen.fillStyle = colour("--accent");
      pen.globalAlpha = 0.15;
      pen.fillRect(this.#drag[0], box.top, this.#drag[1] - this.#drag[0], box.tall);
    }
    pen.restore();
    if (this.#mark >= 0) this.#marker(pen, colour, { box, x, y });
  }

  #axes(pen, colour, { box, x, y, low, high, from, to, code }) {
    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--soft");
    pen.textBaseline = "top";
    pen.textAlign = "left";
    pen.fillText(unit(code), 4, 0);
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const value of valueTicks(low, high, Math.max(2, Math.min(5, box.tall / 40)))) {
      const at = Math.round(y(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(box.left, at);
      pen.lineTo(box.left + box.wide, at);
      pen.stroke();
      pen.fillText(number(value), box.left - 8, at);
    }
    const { step, ticks } = timeTicks(from, to, Math.max(2, Math.min(8, Math.floor(box.wide / 90))));
    pen.textBaseline = "top";
    pen.textAlign = "center";
    let before = "";
    for (const tick of ticks) {
      const words = step >= DAY ? day(tick) : step < MINUTE ? clock(tick) : hour(tick);
      const today = day(tick);
      const first = step < DAY && before !== "" && today !== before;
      before = today;
      const label = first ? today : words;
      const half = pen.measureText(label).width / 2;
      pen.fillText(label, Math.max(half, Math.min(box.left + box.wide + EDGE.right - half, x(tick))), box.top + box.tall + 8);
    }
  }

  #limits(pen, colour, { box, y, low, high, limits, code }) {
    for (const side of ["min", "max"]) {
      const value = limits?.[side];
      if (typeof value !== "number" || value < low || value > high) continue;
      const at = Math.round(y(value)) + 0.5;
      pen.fillStyle = colour("--bad");
      pen.globalAlpha = 0.08;
      if (side === "min") pen.fillRect(box.left, at, box.wide, box.top + box.tall - at);
      else pen.fillRect(box.left, box.top, box.wide, at - box.top);
      pen.globalAlpha = 1;
      pen.strokeStyle = colour("--bad");
      pen.setLineDash([4, 4]);
      pen.beginPath();
      pen.moveTo(box.left, at);
      pen.lineTo(box.left + box.wide, at);
      pen.stroke();
      pen.setLineDash([]);
      const above = side === "min" ? at - box.top >= LINE : box.top + box.tall - at < LINE; // on the good side, where that has room
      pen.textAlign = "right";
      pen.textBaseline = above ? "bottom" : "top";
      pen.fillText(t("chart.limit", { value: quantity(value, code) }), box.left + box.wide - 4, at + (above ? -3 : 3));
    }
  }

  #gaps(pen, colour, { box, x, gaps }) {
    for (const [from, to] of gaps) {
      const [left, right] = [x(from), x(to)];
      if (right - left < 2) continue;
      pen.fillStyle = colour("--hole");
      pen.fillRect(left, box.top, right - left, box.tall);
      pen.fillStyle = colour("--soft");
      pen.textAlign = "center";
      pen.textBaseline = "middle"; // limits have their words at the edges
      if (right - left > 56) pen.fillText(t("no-data"), (left + right) / 2, box.top + box.tall / 2);
    }
  }

  #curve(pen, colour, { x, y, points, gap, step }) {
    const runs = [];
    points.forEach((point, at) => {
      if (at === 0 || point.time - points[at - 1].time > gap) runs.push([]);
      runs.at(-1).push(point);
    });
    pen.fillStyle = pen.strokeStyle = colour("--accent");
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    for (const run of runs) {
      if (step) {
        pen.globalAlpha = 0.16;
        pen.beginPath();
        run.forEach((point) => pen.lineTo(x(point.time), y(point.max)));
        [...run].reverse().forEach((point) => pen.lineTo(x(point.time), y(point.min)));
        pen.fill();
        if (run.length === 1) pen.fillRect(x(run[0].time) - 2, y(run[0].max), 4, y(run[0].min) - y(run[0].max));
        pen.globalAlpha = 1;
      }
      pen.beginPath();
      if (run.length === 1) pen.arc(x(run[0].time), y(run[0].mean), 2, 0, 7);
      else run.forEach((point) => pen.lineTo(x(point.time), y(point.mean)));
      if (run.length === 1) pen.fill();
      else pen.stroke();
    }
  }

  #marker(pen, colour, { box, x, y }) {
    const point = this.#data.points[this.#mark];
    pen.strokeStyle = colour("--soft");
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x(point.time), box.top);
    pen.lineTo(x(point.time), box.top + box.tall);
    pen.stroke();
    pen.fillStyle = colour("--accent");
    pen.beginPath();
    pen.arc(x(point.time), y(point.mean), 4, 0, 7);
    pen.fill();
  }

  // Reads the point at this place of the list; -1 = none.
  #read(at) {
    const { points, code, step, from, to } = this.#data;
    if (at === this.#mark) return;
    this.#mark = at;
    this.#tip.hidden = at < 0;
    if (at >= 0) {
      const point = points[at];
      const time = step ? `${when(point.time - step / 2)}, ${span(step / 1000)}` : to - from > DAY ? when(point.time) : clock(point.time);
      const spread = point.n > 1 ? `, ${t("chart.spread", { low: number(point.min), high: number(point.max) })}` : "";
      text(this.#tip, t("chart.point", { time, value: quantity(point.mean, code) }) + spread);
      const box = this.#box();
      const left = box.left + ((point.time - from) / (to - from)) * box.wide;
      this.#tip.style.left = `${Math.max(4, Math.min(left + 8, this.#canvas.clientWidth - this.#tip.offsetWidth - 4))}px`;
    }
    this.draw();
  }

  #nearest(time) {
    const { points } = this.#data;
    let best = -1;
    points.forEach((point, at) => {
      if (best < 0 || Math.abs(point.time - time) < Math.abs(points[best].time - time)) best = at;
    });
    return best;
  }

  #press(event) {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#fingers.set(event.pointerId, event.offsetX);
    if (this.#fingers.size <= 2) this.#drag = this.#fingers.size === 2 ? [...this.#fingers.values()].sort((one, other) => one - other) : [event.offsetX, event.offsetX];
  }

  #move(event) {
    if (!this.#fingers.has(event.pointerId)) {
      this.#read(this.#nearest(this.#timeAt(event.offsetX)));
      return;
    }
    this.#fingers.set(event.pointerId, event.offsetX);
    if (this.#drag) this.#drag[1] = event.offsetX;
    this.draw();
  }

  #release(event) {
    const drag = this.#drag;
    const pinched = this.#fingers.size > 1;
    this.#end();
    if (pinched && drag) {
      // Two fingers: what was between them when they came down fills the width.
      this.#zoom(this.#timeAt(drag[0]), this.#timeAt(drag[1]));
    } else if (drag && Math.abs(drag[1] - drag[0]) >= DRAGGED) {
      this.#zoom(this.#timeAt(drag[0]), this.#timeAt(drag[1]));
    } else {
      this.#read(this.#nearest(this.#timeAt(event.offsetX)));
    }
  }

  #end() {
    this.#drag = null;
    this.#fingers.clear();
    this.draw();
  }

  #zoom(one, other) {
    const [from, to] = [Math.min(one, other), Math.max(one, other)];
    if (to - from >= SECOND) this.dispatchEvent(new CustomEvent("zoom", { detail: { from, to } }));
  }

  #key(event) {
    const { points, from, to } = this.#data;
    const last = points.length - 1;
    const at = { ArrowLeft: this.#mark < 0 ? last : this.#mark - 1, ArrowRight: this.#mark < 0 ? 0 : this.#mark + 1, Home: 0, End: last, Escape: -1 }[event.key];
    if (event.key === "+" || event.key === "-") {
      const middle = points[this.#mark]?.time ?? (from + to) / 2;
      const half = ((to - from) / 2) * (event.key === "+" ? 0.5 : 2);
      this.#zoom(middle - half, middle + half);
    } else if (at !== undefined && points.length) {
      this.#read(Math.max(-1, Math.min(last, at)));
      event.preventDefault();
    }
  }
}
