// Change of settings in a dialog: one key or several at once, what the file would become, on trial or for good.

import { ask, get } from "../core/api.js";
import { el, text } from "../core/dom.js";
import { said, span } from "../core/format.js";
import { translated } from "../core/help.js";
import { t } from "../core/i18n.js";
import { inline, plain, trouble } from "../core/parts.js";
import { state } from "../core/state.js";
import { Field, taken } from "../forms/field.js";
import { openDialog, placed } from "../forms/form.js";
import { fieldAt } from "../forms/schema.js";

const OWN_DROP = "60-api.yaml"; // the file that the API writes
const TRIALS = { "2m": 120, "10m": 600, "1h": 3600 };
const NOTHING = { list: [], map: {} };

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

// One key in the dialog: its field by the schema, and the way back to what the other files say.
class KeyEntry {
  constructor(schema, line, remove) {
    this.key = line.key;
    const value = line.value === "null" ? undefined : line.value;
    this.field = fieldAt(schema, line.key.split("."), { label: line.key, hint: said(translated(line.help)) });
    if (value !== undefined) this.field.set(["list", "map", "json"].includes(this.field.kind) ? parsed(value) : value);
    this.back = new Field(`${line.key} back`, { label: t("set.unset"), kind: "checkbox" });
    this.back.input.addEventListener("change", () => (this.field.input.disabled = this.back.input.checked));
    this.element = el("div", { "data-entry": line.key }, this.field.element, line.origin.includes(OWN_DROP) ? this.back.element : null, remove ? inline(t("set.leave"), () => remove(this), { "aria-label": `${t("set.leave")}: ${line.key}` }) : null);
  }

  get goesBack() {
    return this.back.input.checked;
  }
}

// `line` is the first key; `lines` are all that may be changed here.
export async function changeSettings(line, lines, done) {
  const { schema } = await get("settings/schema");
  const entries = [];
  const places = el("div");
  const another = el("select", { name: "another", "aria-label": t("set.another") });
  const trial = new Field("confirm", { label: t("trial.how"), kind: "select", needed: true, hint: t("trial.how.hint"), value: "2m", choices: [...Object.entries(TRIALS).map(([one, seconds]) => [one, t("trial.within", { span: span(seconds) })]), ["now", t("trial.none")]] });
  const shown = el("div", { role: "status" });
  const complaint = trouble();
  const fields = () => entries.map((entry) => entry.field);

  function offer() {
    const left = lines.filter((one) => !entries.some((entry) => entry.key === one.key));
    another.replaceChildren(el("option", { value: "" }, `${t("set.another")} …`), ...left.map((one) => el("option", { value: one.key }, one.key)));
  }

  function add(chosen) {
    const entry = new KeyEntry(schema, chosen, entries.length === 0 ? null : (gone) => {
      entries.splice(entries.indexOf(gone), 1);
      gone.element.remove();
      offer();
      another.focus();
    });
    entries.push(entry);
    places.append(entry.element);
    offer();
    return entry;
  }

  another.addEventListener("change", () => {
    const chosen = lines.find((one) => one.key === another.value);
    if (chosen) add(chosen).field.input.focus();
  });

  // {settings, unset}; what is empty is null, or an empty list.
  function wanted() {
    const kept = entries.filter((entry) => !entry.goesBack);
    const values = taken(kept.map((entry) => entry.field));
    const settings = {};
    for (const { key, field } of kept) {
      const [last, ...above] = key.split(".").reverse();
      const place = above.reverse().reduce((inner, name) => (inner[name] ??= {}), settings);
      place[last] = values[field.name] ?? NOTHING[field.kind] ?? null;
    }
    return { settings, unset: entries.filter((entry) => entry.goesBack).map((entry) => entry.key) };
  }

  async function preview() {
    text(complaint, "");
    try {
      const found = await ask("POST", "settings/preview", { body: wanted() });
      if (found.problems.length) text(complaint, placed(found, fields()));
      shown.replaceChildren(el("p", { class: "hint" }, found.file), el("pre", {}, changeOf(found.before, found.after) || t("set.same")), ...found.warnings.map((words) => el("p", { class: "warn" }, said(words.message ?? words))));
    } catch (error) {
      if (error.status) text(complaint, placed(error, fields()));
    }
  }

  async function send() {
    const { trial: begun } = await ask("POST", "settings/apply", { body: { ...wanted(), confirm: trial.input.value in TRIALS ? trial.input.value : null } });
    state.tried(begun);
    await done();
  }

  add(line);
  openDialog({ title: t("set.change", { key: line.key }), content: [places, el("div", { class: "field" }, another), trial.element, shown, complaint], fields, verb: t("set.apply"), more: [plain(t("set.preview"), preview, { id: "preview" })], done: t("set.reloaded"), send });
}
