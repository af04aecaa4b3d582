// Settings: every key with its value, what it is for and where it is written; those that may be changed here by a form.

import { ask, get, may } from "../core/api.js";
import { el, say, show, table, text } from "../core/dom.js";
import { clock, said, span } from "../core/format.js";
import { t } from "../core/i18n.js";
import { anchor, button, failed, heading, inline, plain, searchBox, tabs, trouble } from "../core/parts.js";
import { link } from "../core/router.js";
import { listen, state } from "../core/state.js";
import { Field, taken } from "../forms/field.js";
import { openDialog } from "../forms/form.js";
import { fieldAt } from "../forms/schema.js";
import { openAbout } from "./about.js";
import { openAccess } from "./access.js";

const OWN_DROP = "60-api.yaml"; // the file that the API writes
const TRIALS = { "2m": 120, "10m": 600, "1h": 3600 };

function parsed(value) {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

// What changes between two texts: their lines but for those that both begin and end with.
function changeOf(before, after) {
  const [old, fresh] = [before.split("\n"), after.split("\n")];
  let first = 0;
  while (first < old.length && first < fresh.length && old[first] === fresh[first]) first += 1;
  let last = 0;
  while (last < old.length - first && last < fresh.length - first && old.at(-1 - last) === fresh.at(-1 - last)) last += 1;
  const part = (lines, sign) => lines.slice(first, lines.length - last).map((line) => `${sign} ${line}`);
  return [...part(old, "−"), ...part(fresh, "+")].join("\n");
}

// A key is changed in a dialog: its field by the schema, what the file would become, on trial or for good.
async function change(line, done) {
  const keys = line.key.split(".");
  const { schema } = await get("settings/schema");
  const value = line.value === "null" ? undefined : line.value;
  const field = fieldAt(schema, keys, { label: line.key, hint: line.help });
  const typed = ["list", "map", "json"].includes(field.kind);
  if (value !== undefined) field.set(typed ? parsed(value) : value);
  const trial = new Field("confirm", { label: t("trial.how"), kind: "select", needed: true, hint: t("trial.how.hint"), value: "2m", choices: [...Object.entries(TRIALS).map(([one, seconds]) => [one, t("trial.within", { span: span(seconds) })]), ["now", t("trial.none")]] });
  const shown = el("div", { role: "status" });
  const wanted = () => {
    const { [field.name]: given = { list: [], map: {} }[field.kind] ?? null } = taken([field]);
    return { settings: keys.reduceRight((inner, key) => ({ [key]: inner }), given), unset: [] };
  };
  const send = (body) => ask("POST", "settings/apply", { body: { ...body, confirm: trial.input.value in TRIALS ? trial.input.value : null } }).then((told) => {
    state.tried(told.trial);
    return done();
  });
  const preview = async () => {
    try {
      const found = await ask("POST", "settings/preview", { body: wanted() });
      field.complain(found.problems.map((problem) => said(problem.message, problem.hint)).join("\n"));
      shown.replaceChildren(el("p", { class: "hint" }, found.file), el("pre", {}, changeOf(found.before, found.after) || t("set.same")), ...found.warnings.map((words) => el("p", { class: "warn" }, said(words.message ?? words))));
    } catch (error) {
      shown.replaceChildren(el("p", { class: "error" }, error.status ? failed(error) : ""));
    }
  };
  const more = [plain(t("set.preview"), preview, { id: "preview" })];
  if (line.origin.includes(OWN_DROP)) {
    more.push(plain(t("set.unset"), () => send({ settings: {}, unset: [line.key] }).then(() => dialog.close(), (error) => field.complain(failed(error)))));
  }
  const dialog = openDialog({ title: t("set.change", { key: line.key }), content: [field.element, trial.element, shown], fields: () => [field], verb: t("set.apply"), more, done: t("set.reloaded"), send: () => send(wanted()) });
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

  function edit(line) {
    const [section, name] = line.key.split(".");
    if (!line.editable || !may("admin")) return "";
    if (section === "devices" || section === "brokers") return anchor(t("edit"), link(section, name, "settings"), { "aria-label": `${t("edit")}: ${line.key}` });
    return inline(t("edit"), () => change(line, load).catch((error) => text(complaint, failed(error))), { "aria-label": `${t("edit")}: ${line.key}`, "data-key": line.key });
  }

  const origin = (line) => (line.origin === "default" ? el("span", { class: "soft" }, t("set.default")) : el("span", { title: line.origin }, line.origin.split("/").pop()));
  const row = (line) => [el("div", {}, el("code", {}, line.key), line.help ? el("p", { class: "hint" }, line.help) : null), line.value, origin(line), edit(line)];

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const groups = new Map();
    for (const line of lines) {
      if (wanted && !`${line.key} ${line.value} ${line.origin} ${line.help ?? ""}`.toLowerCase().includes(wanted)) continue;
      const [section, name] = line.key.split(".");
      const group = section === "devices" || section === "brokers" ? `${section}: ${name}` : section;
      groups.set(group, [...(groups.get(group) ?? []), line]);
    }
    body.replaceChildren(...[...groups].map(([group, found]) => el("section", {}, el("h2", {}, group), el("div", { class: "card set" }, table(group, [t("set.key"), t("set.value"), t("set.origin"), ""], found.map(row), "")))), ...(groups.size ? [] : [el("p", { class: "empty" }, t("none"))]));
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
