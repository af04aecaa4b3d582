// Board for a wall: nothing but values, readable from far; dark, awake, and honest about a lost link.

import { el, show, text } from "../core/dom.js";
import { age, clock, nameOf, number, unit } from "../core/format.js";
import { t } from "../core/i18n.js";
import { Sparkline } from "../core/sparkline.js";
import { listen, state } from "../core/state.js";
import { labelOf, reasonWords, signOf } from "../core/trouble.js";
import { mainValues, plain } from "../core/parts.js";

const CELLS = "gatepost-board-cells";
const LEAST = 4;
const MOST = 24;
const SLOWLY = 5000;
const OLD = 120000; // milliseconds after which a value is shown with its age
const PAIRS = { systolic: "diastolic" };

// The cells that there are: [{device, name, paired}], those of trouble and limits before those that only fill the wall.
function cellsOf(most) {
  const cells = [];
  for (const device of state.devices) {
    const values = state.values.get(device.id);
    const names = mainValues(values, 2).filter((name, _, all) => !all.some((one) => PAIRS[one] === name));
    const bad = signOf(device).kind === "bad";
    if (!bad && !names.length && values?.last?.samples) continue; // a waveform has no value that is read from far
    if (bad || !names.length) cells.push({ device, name: null, urgent: bad, order: 0 });
    else names.forEach((name, at) => cells.push({ device, name, order: at, urgent: Boolean(values.beyond(name, values.latest.get(name).value)) }));
  }
  const kept = new Set([...cells].sort((one, other) => Number(other.urgent) - Number(one.urgent) || one.order - other.order).slice(0, most));
  return cells.filter((cell) => kept.has(cell));
}

class BoardCell {
  #place = el("strong");
  #name = el("span");
  #value = el("span", { class: "number" });
  #unit = el("span", { class: "unit" });
  #age = el("span", { class: "unit aged" });
  #curve = new Sparkline();
  element = el("li", { class: "cell" }, el("p", { class: "names" }, this.#place, this.#name), el("p", { class: "big" }, this.#value, " ", this.#unit, this.#age), this.#curve.element);

  show({ device, name }) {
    const values = state.values.get(device.id);
    const shown = signOf(device);
    const kept = name ? values.latest.get(name) : null;
    const out = kept && values.beyond(name, kept.value);
    this.element.className = `cell${out ? " out" : ""}${shown.kind === "bad" ? " dead" : ""}`;
    this.element.dataset.name = device.id;
    text(this.#place, device.room || labelOf(device));
    const pair = kept && PAIRS[name] && values.latest.get(PAIRS[name]);
    text(this.#name, name && shown.kind !== "bad" ? (pair ? nameOf("blood_pressure") : nameOf(name)) : device.room ? labelOf(device) : "");
    if (!kept || shown.kind === "bad") {
      text(this.#value, "–");
      text(this.#unit, shown.kind === "good" ? t("no-reading") : shown.word);
      text(this.#age, "");
      show(this.#curve.element, false);
      return;
    }
    const words = pair ? `${number(kept.value)}/${number(pair.value)}` : number(kept.value);
    text(this.#value, words);
    text(this.#unit, kept.value === null ? reasonWords(kept.reason) : unit(kept.unit));
    text(this.#age, Date.now() - kept.time > OLD ? age(kept.time) : "");
    this.element.style.setProperty("--letters", Math.max(3, words.length + (kept.value === null ? 0 : 0.35 * unit(kept.unit).length)));
    const points = values.past.get(name) ?? [];
    show(this.#curve.element, points.length > 1);
    this.#curve.draw(name, points, values.limits[name], out);
  }
}

export function open(main) {
  const cells = [];
  const grid = el("ul", { class: "board-cells", "aria-label": t("place.board") });
  const lost = el("p", { class: "board-lost", role: "status", hidden: true });
  let most = Math.min(MOST, Math.max(LEAST, Number(localStorage.getItem(CELLS)) || 12));
  let awake = null;
  let lostAt = 0;
  const change = (by) => {
    most = Math.min(MOST, Math.max(LEAST, most + by));
    localStorage.setItem(CELLS, most);
    draw();
  };
  const bar = el("div", { class: "board-bar" },
    plain("−", () => change(-1), { "aria-label": t("board.fewer") }), plain("+", () => change(1), { "aria-label": t("board.more") }),
    plain(t("board.full"), () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen().catch(() => {}))),
    el("a", { class: "button plain", href: "#/" }, t("board.leave")));
  document.body.classList.add("board");
  document.getElementById("head").replaceChildren(el("h1", { class: "unseen" }, t("place.board")));
  document.getElementById("head").hidden = false;
  main.append(lost, grid, bar);

  function draw() {
    const wanted = cellsOf(most);
    while (cells.length > wanted.length) cells.pop().element.remove();
    while (cells.length < wanted.length) {
      cells.push(new BoardCell());
      grid.append(cells.at(-1).element);
    }
    const columns = Math.max(1, Math.min(wanted.length, Math.ceil(Math.sqrt(wanted.length * 1.4))));
    grid.style.setProperty("--columns", columns);
    grid.style.setProperty("--rows", Math.ceil(wanted.length / columns));
    wanted.forEach((cell, at) => cells[at].show(cell));
  }

  function linked() {
    lostAt = state.link === "lost" ? lostAt || Date.now() : 0;
    text(lost, lostAt ? t("board.lost", { time: clock(lostAt) }) : "");
    show(lost, lostAt > 0);
  }

  // A screen that sleeps shows nothing; the lock is over when the page was hidden.
  async function keepAwake() {
    if (document.visibilityState !== "visible" || !navigator.wakeLock) return;
    awake = await navigator.wakeLock.request("screen").catch(() => null);
  }

  const stop = listen({ status: draw, readings: draw, link: linked });
  const timer = setInterval(draw, SLOWLY); // also where nothing comes any more
  document.addEventListener("visibilitychange", keepAwake);
  keepAwake();
  draw();
  linked();
  return {
    close() {
      stop();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", keepAwake);
      awake?.release().catch(() => {});
      document.body.classList.remove("board");
    },
  };
}
