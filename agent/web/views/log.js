// Log: commands and how they ended, what was lost, what brokers refused, who did what; the agent's own log where it is served.

import { get, may, served } from "../core/api.js";
import { el, table, text } from "../core/dom.js";
import { moment, number, when, words } from "../core/format.js";
import { t } from "../core/i18n.js";
import { anchor, button, failed, heading } from "../core/parts.js";
import { link } from "../core/router.js";
import { state } from "../core/state.js";
import { labelOf } from "../core/trouble.js";
import { outcome } from "./command.js";

const LIMIT = 50;
const AGAIN = 10000;
const LINES = 500; // lines of the agent's log that are kept here
const LEVELS = ["debug", "info", "warning", "error"];

const deviceLink = (id) => (state.device(id) ? anchor(labelOf(state.device(id)), link("devices", id)) : (id ?? ""));
const detailsOf = ({ seq: _1, time: _2, what: _3, by: _4, name: _5, source: _6, ...rest }) => Object.entries(rest).filter(([, value]) => value !== null).map(([key, value]) => `${words(key)}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");

// A tab: {load: (cursor) => {rows, cursor}, head, none}
const TABS = {
  commands: {
    head: ["when", "device", "command", "status", "from", "why"],
    none: "no-commands",
    async load(cursor) {
      const found = await get(`commands?limit=${LIMIT}${cursor ? `&cursor=${cursor}` : ""}`);
      const row = (entry) => [moment(entry.recorded), deviceLink(entry.device_id), entry.command, outcome(entry.status), entry.source, entry.response?.error?.message ?? ""];
      return { rows: found.commands.map(row), cursor: found.cursor };
    },
  },
  gaps: {
    head: ["when", "device", "count", "why", "brokers", "taken"],
    none: "none.gaps",
    async load() {
      const { gaps } = await get(`gaps?limit=${LIMIT}`);
      const row = (gap) => [moment(gap.time), gap.device_id ? deviceLink(gap.device_id) : t("all"), number(gap.count), words(gap.reason), (gap.brokers ?? []).join(", "), gap.since ? `${when(gap.since)} – ${when(gap.until)}` : ""];
      return { rows: gaps.map(row) };
    },
  },
  "dead-letters": {
    head: ["when", "broker", "reading", "code", "why"],
    none: "none.dead-letters",
    async load() {
      const found = await get(`dead-letters?limit=${LIMIT}`);
      return { rows: found.dead_letters.map((letter) => [moment(letter.time), letter.broker, letter.reading, letter.code ?? "", letter.reason]) };
    },
  },
  audit: {
    head: ["when", "what", "who", "detail"],
    none: "none.audit",
    role: "operator",
    async load(cursor) {
      const found = await get(`audit?limit=${LIMIT}${cursor ? `&cursor=${cursor}` : ""}`);
      return { rows: found.audit.map((entry) => [moment(entry.time), words(entry.what), entry.by ?? entry.name ?? entry.source ?? "", detailsOf(entry)]), cursor: found.cursor };
    },
  },
};

function openTable(place, name) {
  const { head, none, load } = TABS[name];
  const rows = [];
  let timer = 0;
  let over = false;
  const body = el("div", { class: "card" });
  const more = button(t("older"), () => read(more.dataset.cursor), { class: "plain", hidden: true });
  const complaint = el("p", { class: "error", role: "alert" });
  place.append(body, complaint, more);

  async function read(cursor) {
    clearTimeout(timer);
    try {
      const found = await load(cursor);
      if (over) return;
      if (!cursor) rows.length = 0;
      rows.push(...found.rows);
      body.replaceChildren(table(t(`log.${name}`), head.map((one) => t(`col.${one}`)), rows, t(none)));
      more.hidden = !found.cursor;
      more.dataset.cursor = found.cursor ?? "";
      text(complaint, "");
    } catch (error) {
      text(complaint, failed(error));
    }
    // Whoever looks at older entries is left alone.
    if (!over && !cursor) timer = setTimeout(() => read(), AGAIN);
  }
  read();
  return () => {
    over = true;
    clearTimeout(timer);
  };
}

// The agent's log as it is written: lines of JSON, each {time, level, logger, message, device}.
function openAgentLog(place) {
  const lines = [];
  const stop = new AbortController();
  const level = el("select", { "aria-label": t("log.level"), onchange: draw }, LEVELS.map((one) => el("option", { value: one }, t(`log.level.${one}`))));
  level.value = "info";
  const device = el("select", { "aria-label": t("col.device"), onchange: draw }, el("option", { value: "" }, `${t("col.device")}: ${t("all")}`), state.devices.map((one) => el("option", { value: one.id }, labelOf(one))));
  const search = el("input", { type: "search", placeholder: t("search"), "aria-label": t("search"), oninput: draw });
  const body = el("div", { class: "card" });
  const complaint = el("p", { class: "error", role: "alert" });
  let due = 0;
  place.append(el("div", { class: "filters" }, search, level, device), complaint, body);

  function draw() {
    due = 0;
    const wanted = search.value.trim().toLowerCase();
    const least = LEVELS.indexOf(level.value);
    const fits = (line) => LEVELS.indexOf(line.level) >= least && (!device.value || line.device === device.value) && (!wanted || `${line.message} ${line.logger}`.toLowerCase().includes(wanted));
    const sign = { error: "bad", warning: "warn" };
    const rows = lines.filter(fits).slice(-LINES).reverse().map((line) => [when(line.time), el("span", { class: `sign ${sign[line.level] ?? "idle"}` }, line.level), line.device ? deviceLink(line.device) : "", line.message]);
    body.replaceChildren(table(t("log.agent"), [t("col.when"), t("log.level"), t("col.device"), t("log.text")], rows, t("none.log")));
  }

  async function follow() {
    const answer = await fetch("/api/v1/logs?follow=true", { signal: stop.signal, headers: { accept: "application/x-ndjson" } });
    if (!answer.ok) throw new Error((await answer.json()).error?.message);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const pieces = (rest + part.value).split("\n");
      rest = pieces.pop();
      for (const piece of pieces) if (piece.trim()) lines.push(JSON.parse(piece));
      lines.splice(0, lines.length - LINES);
      due ||= setTimeout(draw, 300);
    }
  }
  draw();
  follow().catch((error) => error.name !== "AbortError" && text(complaint, error.message));
  return () => {
    stop.abort();
    clearTimeout(due);
  };
}

export function open(main, tab = "commands") {
  heading({ title: t("place.log") });
  const tabs = el("nav", { class: "tabs", "aria-label": t("place.log") });
  const place = el("div");
  main.append(tabs, place);
  let close = null;
  let over = false;
  const names = Object.keys(TABS).filter((name) => may(TABS[name].role ?? "viewer"));
  function offer(all) {
    tabs.replaceChildren(...all.map((name) => anchor(t(`log.${name}`), `#/log/${name}`, name === tab ? { "aria-current": "page" } : {})));
  }
  offer(names);
  if (names.includes(tab)) close = openTable(place, tab);
  served("/api/v1/logs").then((there) => {
    if (over || !there || !may("operator")) return;
    offer(["agent", ...names]);
    if (tab === "agent") close = openAgentLog(place);
  });
  return {
    close() {
      over = true;
      close?.();
    },
  };
}
