// Small curve of the last minutes of one value, with its limits. It draws into one SVG path.

import { svg } from "./dom.js";
import { scaleOf } from "./chart.js";

const HIGH = 40;
const WIDE = 100;

export class Sparkline {
  #line = svg("path", { class: "curve" });
  #beyond = svg("path", { class: "beyond" });
  #limit = svg("path", { class: "limit" });

  constructor() {
    this.element = svg("svg", { class: "spark", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.#beyond, this.#limit, this.#line);
  }

  draw(name, points, limits, bad) {
    this.element.classList.toggle("bad", Boolean(bad));
    if (points.length < 2) {
      for (const part of [this.#line, this.#beyond, this.#limit]) part.setAttribute("d", "");
      return;
    }
    const [low, high] = scaleOf(name, points.map(([, value]) => value), limits);
    const first = points[0][0];
    const wide = points.at(-1)[0] - first || 1;
    const y = (value) => (HIGH - 1 - ((value - low) / (high - low || 1)) * (HIGH - 2)).toFixed(1);
    const gap = Math.max(60000, (wide / points.length) * 8);
    let before = -Infinity;
    const path = points.map(([time, value]) => {
      const pen = time - before > gap ? "M" : "L";
      before = time;
      return `${pen}${(((time - first) / wide) * WIDE).toFixed(1)} ${y(value)}`;
    });
    this.#line.setAttribute("d", path.join(""));
    this.element.dataset.points = points.length;
    const lines = [];
    const bands = [];
    for (const [side, value] of Object.entries(limits ?? {})) {
      if (typeof value !== "number" || value < low || value > high) continue;
      lines.push(`M0 ${y(value)}H${WIDE}`);
      bands.push(`M0 ${y(value)}H${WIDE}V${side === "min" ? HIGH : 0}H0Z`);
    }
    this.#limit.setAttribute("d", lines.join(""));
    this.#beyond.setAttribute("d", bands.join(""));
  }
}
