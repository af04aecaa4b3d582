// Settings: every key with its value, what it is for and where it is written; those that may be changed here by a form.

import { ask, get, may } from "../core/api.js";
import { el, say, show, table, text } from "../core/dom.js";
import { clock, said } from "../core/format.js";
import { translated } from "../core/help.js";
import { t } from "../core/i18n.js";
import { anchor, button, failed, heading, inline, plain, searchBox, tabs, trouble } from "../core/parts.js";
import { link } from "../core/router.js";
import { listen, state } from "../core/state.js";
import { openAbout } from "./about.js";
import { openAccess } from "./access.js";
import { changeSettings } from "./change-settings.js";

const MANY = 6; // devices and brokers that are shown with all their keys; more are unfolded one by one

function folded(title, content) {
  const element = el("details", { class: "group" }, el("summary", {}, title));
  element.addEventListener("toggle", () => element.children.length === 1 && element.append(content()));
  return element;
}

// Changed settings that go back by themselves unless somebody keeps them.
function trialStrip() {
  const words = el("p");
  const complaint = trouble();
  const end = (how) => ask("POST", `settings/${how}`, { body: {} }).then(({ trial }) => state.tried(trial), (error) => text(complaint, failed(error)));
  const element = el("div", { class: "card trial", role: "status" }, words, complaint, el("div", { class: "actions" }, button(t("trial.keep"), () => end("confirm"), { id: "trial-keep" }), plain(t("trial.back"), () => end("revert"), { id: "trial-back" })));
  return {
    element,
    update() {
      const trial = state.trial;
      show(element, trial?.state === "trying" && may("admin"));
      if (trial?.state === "trying") text(words, `${t("trial.on")}. ` + t("trial", { keys: trial.changed.join(", "), time: clock(trial.until) }));
    },
  };
}

function openAll(place) {
  const search = searchBox(draw);
  const body = el("div", {}, el("p", { class: "soft" }, t("loading")));
  const told = el("div");
  const complaint = trouble();
  const reload = may("operator") ? plain(t("set.reload"), again, { id: "reload" }) : null;
  const strip = trialStrip();
  let lines = [];
  place.append(el("div", { class: "filters" }, search, reload), complaint, strip.element, told, body);

  const named = (key) => ["devices", "brokers"].includes(key.split(".")[0]);
  const isPlain = (line) => line.editable && !named(line.key);

  function edit(line) {
    const [section, name] = line.key.split(".");
    if (!line.editable || !may("admin")) return "";
    if (named(line.key)) return anchor(t("edit"), link(section, name, "settings"), { "aria-label": `${t("edit")}: ${line.key}` });
    return inline(t("edit"), () => changeSettings(line, lines.filter(isPlain), load).catch((error) => text(complaint, failed(error))), { "aria-label": `${t("edit")}: ${line.key}`, "data-key": line.key });
  }

  const origin = (line) => (line.origin === "default" ? el("span", { class: "soft" }, t("set.default")) : el("span", { title: line.origin }, line.origin.split("/").pop()));
  const row = (line) => [el("div", {}, el("code", {}, line.key), line.help ? el("p", { class: "hint" }, said(translated(line.help))) : null), line.value === "null" ? "–" : line.value, origin(line), edit(line)];

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const groups = new Map();
    for (const line of lines) {
      if (wanted && !`${line.key} ${line.value} ${line.origin} ${translated(line.help)}`.toLowerCase().includes(wanted)) continue;
      const [section, name] = line.key.split(".");
      const group = named(line.key) ? `${section}: ${name}` : section;
      groups.set(group, [...(groups.get(group) ?? []), line]);
    }
    const many = [...groups.keys()].filter((group) => group.includes(": ")).length > MANY;
    const content = (group, found) => el("div", { class: "card set" }, table(group, [t("set.key"), t("set.value"), t("set.origin"), ""], found.map(row), ""));
    const section = (group, found) => el("section", {}, el("h2", {}, group), content(group, found));
    body.replaceChildren(...[...groups].map(([group, found]) => (many && group.includes(": ") ? folded(group, () => content(group, found)) : section(group, found))), ...(groups.size ? [] : [el("p", { class: "empty" }, t("none"))]));
  }

  function problems(list) {
    told.replaceChildren(...(list.length ? [el("h2", {}, t("set.problems")), el("ul", { class: "card plain-list" }, list.map((problem) => el("li", { class: "bad" }, typeof problem === "string" ? problem : [problem.where, problem.message, problem.hint].filter(Boolean).join(": "))))] : []));
  }

  async function again() {
    text(complaint, "");
    try {
      const result = await ask("POST", "reload", { body: {} });
      problems(result.problems ?? []);
      if (result.applied) say(t("set.reloaded"));
      await load();
    } catch (error) {
      text(complaint, failed(error));
    }
  }

  async function load() {
    try {
      lines = (await get("settings")).settings;
      text(complaint, lines.some((line) => line.origin === "last good settings") ? t("set.last-good") : "");
      draw();
    } catch (error) {
      text(complaint, failed(error));
    }
  }
  problems(state.status?.settings?.problems ?? []);
  load();
  strip.update();
  const stop = listen({ trial: () => {
    strip.update();
    if (state.trial?.state !== "trying") load();
  } });
  return stop;
}

const TABS = { all: openAll, access: openAccess, about: openAbout };

export function open(main, tab = "all") {
  heading({ title: t("place.settings") });
  const names = Object.keys(TABS).filter((name) => name !== "access" || may("admin"));
  const place = el("div");
  main.append(tabs("settings", names, tab), place);
  return { close: names.includes(tab) ? TABS[tab](place) : null };
}
