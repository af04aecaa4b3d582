// Log: what the agent says, as it says it; commands and how they ended, what was lost, what brokers refused, who did what.

import { get, lines as linesOf, may } from "../core/api.js";
import { el, table, text } from "../core/dom.js";
import { number, stamp, when, words } from "../core/format.js";
import { t } from "../core/i18n.js";
import { anchor, failed, heading, plain, searchBox, tabs, trouble } from "../core/parts.js";
import { link } from "../core/router.js";
import { state } from "../core/state.js";
import { labelOf } from "../core/trouble.js";
import { outcome } from "./command.js";

const LIMIT = 50;
const AGAIN = 10000;
const LINES = 300; // lines of the agent's log that are shown
const SOON = 300;
const TYPED = 400; // milliseconds after the last key until the log is searched
const LEVELS = ["debug", "info", "warning", "error"];

const at = (time) => el("time", { datetime: time }, stamp(time));
const deviceLink = (id) => (state.device(id) ? anchor(labelOf(state.device(id)), link("devices", id)) : (id ?? ""));
const detailsOf = ({ seq: _1, time: _2, what: _3, by: _4, name: _5, source: _6, hash: _7, prev: _8, ...rest }) => Object.entries(rest).filter(([, value]) => value !== null).map(([key, value]) => `${words(key)}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");

// A tab: {load: (cursor) => {rows, cursor}, head, none}
const TABS = {
  commands: {
    head: ["when", "device", "command", "status", "from", "why"],
    none: "no-commands",
    async load(cursor) {
      const found = await get(`commands?limit=${LIMIT}${cursor ? `&cursor=${cursor}` : ""}`);
      const row = (entry) => [at(entry.recorded), entry.device_id ? deviceLink(entry.device_id) : t("gateway.id"), entry.command, outcome(entry.status), entry.source, entry.response?.error?.message ?? ""];
      return { rows: found.commands.map(row), cursor: found.cursor };
    },
  },
  gaps: {
    head: ["when", "device", "count", "why", "brokers", "taken"],
    none: "none.gaps",
    async load() {
      const { gaps } = await get(`gaps?limit=${LIMIT}`);
      const row = (gap) => [at(gap.time), gap.device_id ? deviceLink(gap.device_id) : t("all"), number(gap.count), words(gap.reason), (gap.brokers ?? []).join(", "), gap.since ? `${when(gap.since)} – ${when(gap.until)}` : ""];
      return { rows: gaps.map(row) };
    },
  },
  "dead-letters": {
    head: ["when", "broker", "reading", "code", "why"],
    none: "none.dead-letters",
    async load() {
      const found = await get(`dead-letters?limit=${LIMIT}`);
      return { rows: found.dead_letters.map((letter) => [at(letter.time), letter.broker, letter.reading, letter.code ?? "", letter.reason]) };
    },
  },
  audit: {
    head: ["when", "what", "who", "detail"],
    none: "none.audit",
    role: "operator",
    async load(cursor) {
      const found = await get(`audit?limit=${LIMIT}${cursor ? `&cursor=${cursor}` : ""}`);
      return { rows: found.audit.map((entry) => [at(entry.time), words(entry.what), entry.by ?? entry.name ?? entry.source ?? "", detailsOf(entry)]), cursor: found.cursor };
    },
  },
};

function openTable(place, name) {
  const { head, none, load } = TABS[name];
  const rows = [];
  let timer = 0;
  let over = false;
  const body = el("div", { class: "card" });
  const more = plain(t("older"), () => read(more.dataset.cursor), { hidden: true });
  const complaint = trouble();
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

// The agent's log as it is written, the newest on top.
function openAgentLog(place) {
  let rows = [];
  let following = new AbortController();
  let waiting = 0; // a timer: filters that change, a log that ended
  let due = 0;
  let paused = false;
  const choose = (label, options, value) => {
    const element = el("select", { "aria-label": label, onchange: again }, options.map(([one, words]) => el("option", { value: one }, words)));
    element.value = value;
    return element;
  };
  const level = choose(t("log.level"), LEVELS.map((one) => [one, `${t("log.level")}: ${t(`log.level.${one}`)}`]), "info");
  const device = choose(t("col.device"), [["", `${t("col.device")}: ${t("all")}`], ...state.devices.map((one) => [one.id, labelOf(one)])], "");
  const search = searchBox(() => again(TYPED));
  const hold = plain(t("log.pause"), () => {
    paused = !paused;
    text(hold, t(paused ? "log.follow" : "log.pause"));
    if (!paused) draw();
  });
  const body = el("div", { class: "card lines" });
  const complaint = trouble();
  place.append(el("div", { class: "filters" }, search, level, device, hold), complaint, body);

  function draw() {
    due = 0;
    if (paused) return;
    const sign = { error: "bad", critical: "bad", warning: "warn" };
    const row = (line) => [at(line.time), el("span", { class: `sign ${sign[line.level] ?? "idle"}` }, t(`log.is.${line.level}`)), line.device ? deviceLink(line.device) : (line.broker ?? ""), line.message];
    body.replaceChildren(table(t("log.agent"), [t("col.when"), t("log.level"), t("log.about"), t("log.text")], rows.map(row), t("none.log")));
  }

  function again(pause = 0) {
    following.abort();
    clearTimeout(waiting);
    waiting = setTimeout(follow, Number(pause) || 0);
  }

  async function follow() {
    const { signal } = (following = new AbortController());
    const query = new URLSearchParams({ follow: true, limit: LINES, level: level.value, ...(device.value ? { device: device.value } : {}), ...(search.value.trim() ? { grep: search.value.trim() } : {}) });
    rows = [];
    due ||= setTimeout(draw, SOON);
    try {
      for await (const line of linesOf("GET", `logs?${query}`, { signal })) {
        text(complaint, "");
        if (line.lost) continue;
        rows.unshift(line);
        rows.length = Math.min(rows.length, LINES);
        due ||= setTimeout(draw, SOON);
      }
    } catch (error) {
      if (!signal.aborted) text(complaint, failed(error));
    }
    if (!signal.aborted) again(AGAIN);
  }
  follow();
  return () => {
    following.abort();
    clearTimeout(waiting);
    clearTimeout(due);
  };
}

export function open(main, tab = may("operator") ? "agent" : "commands") {
  heading({ title: t("place.log") });
  const place = el("div");
  const names = ["agent", ...Object.keys(TABS)].filter((name) => may(name === "agent" ? "operator" : (TABS[name].role ?? "viewer")));
  main.append(tabs("log", names, tab), place);
  const close = names.includes(tab) ? (tab === "agent" ? openAgentLog(place) : openTable(place, tab)) : null;
  return { close: () => close?.() };
}
