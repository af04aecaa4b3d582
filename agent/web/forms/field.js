// Fields of forms: each has a label, help below it, and says what is wrong with it beside it.

import { el, text } from "../core/dom.js";
import { t } from "../core/i18n.js";

let count = 0;
export const nextId = (stem) => `${stem}-${(count += 1)}`;

export class WrongField extends Error {} // the field says so itself

// One field. kind: text, number, integer, checkbox, select (choices: values or [value, words]), json, list, map, password;
// `take()` gives the value or undefined when it is empty, and throws a sentence when it is none.
export class Field {
  constructor(name, { label = name, kind = "text", value, hint = "", choices = [], needed = false, list, fixed = false, loose = false } = {}) {
    const id = nextId("field");
    this.name = name;
    this.kind = kind;
    this.needed = needed;
    this.loose = loose; // a number where it reads as one, else text: such as durations, 30 or "5m"
    this.choices = choices.map((choice) => (Array.isArray(choice) ? choice : [choice, String(choice)]));
    if (kind === "select") {
      const options = this.choices.map(([choice, words]) => el("option", { value: String(choice) }, words));
      this.input = el("select", {}, needed ? [] : [el("option", { value: "" }, "–")], options);
    } else if (kind === "json" || kind === "list" || kind === "map") {
      this.input = el("textarea", { spellcheck: "false", class: kind === "json" ? "code" : "" });
    } else {
      const type = kind === "checkbox" || kind === "password" ? kind : "text";
      const mode = kind === "number" ? "decimal" : kind === "integer" ? "numeric" : undefined;
      this.input = el("input", { type, inputmode: mode, autocomplete: kind === "password" ? "new-password" : "off", spellcheck: "false" });
    }
    this.input.id = id;
    this.input.name = name;
    if (needed && kind !== "checkbox") this.input.setAttribute("aria-required", "true");
    if (fixed) this.input.readOnly = true;
    this.set(value);
    this.error = el("p", { class: "error", id: `${id}-error` });
    const shown = needed && kind !== "checkbox" && kind !== "select" ? t("needed", { label }) : label;
    const own = kind === "list" ? t("list.hint") : kind === "map" ? t("map.hint") : "";
    const help = [hint, own].filter(Boolean).join("; ");
    const hintElement = help ? el("p", { class: "hint", id: `${id}-hint` }, help) : null;
    this.input.setAttribute("aria-describedby", [help ? `${id}-hint` : "", this.error.id].filter(Boolean).join(" "));
    const caption = el("label", { for: id }, shown);
    this.element = kind === "checkbox"
      ? el("div", { class: "field check" }, el("div", {}, this.input, caption), hintElement, this.error)
      : el("div", { class: "field" }, caption, this.input, hintElement, this.error);
    if (list) {
      this.input.setAttribute("list", `${id}-list`);
      this.element.append(el("datalist", { id: `${id}-list` }, list.map((one) => (Array.isArray(one) ? el("option", { value: one[0] }, one[1]) : el("option", { value: one })))));
    }
  }

  set(value) {
    if (this.kind === "checkbox") this.input.checked = Boolean(value);
    else if (value === undefined || value === null) this.input.value = "";
    else if (this.kind === "json") this.input.value = JSON.stringify(value, null, 1);
    else if (this.kind === "list") this.input.value = value.join("\n");
    else if (this.kind === "map") this.input.value = Object.entries(value).map(([key, one]) => `${key}: ${one}`).join("\n");
    else this.input.value = String(value);
  }

  take() {
    if (this.kind === "checkbox") return this.input.checked;
    const raw = this.input.value.trim();
    if (raw === "") {
      if (this.needed) throw new Error(t("wrong.needed"));
      return undefined;
    }
    if (this.kind === "select") return this.choices.find(([choice]) => String(choice) === raw)?.[0];
    if (this.kind === "number" || this.kind === "integer") return numberOf(raw, this.kind === "integer");
    if (this.kind === "list") return raw.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => (this.loose ? looselyOf(line) : line));
    if (this.kind === "map") return Object.fromEntries(raw.split("\n").filter((line) => line.trim()).map((line) => this.#pair(line)));
    if (this.kind === "json") {
      try {
        return JSON.parse(raw);
      } catch {
        throw new Error(t("wrong.json"));
      }
    }
    return this.loose ? looselyOf(raw) : raw;
  }

  #pair(line) {
    const [key, ...value] = line.split(":");
    if (!value.length || !key.trim()) throw new Error(t("wrong.map"));
    const words = value.join(":").trim();
    return [key.trim(), this.loose ? looselyOf(words) : words];
  }

  complain(words) {
    text(this.error, words);
    if (words) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}

// A decimal comma is as good as a point.
export function numberOf(raw, whole = false) {
  const value = Number(raw.replace(",", "."));
  if (!Number.isFinite(value) || (whole && !Number.isInteger(value))) throw new Error(t("wrong.number"));
  return value;
}

const looselyOf = (raw) => (raw !== "" && Number.isFinite(Number(raw)) ? Number(raw) : raw === "true" || raw === "false" ? raw === "true" : raw);

// The values of all fields by name; complains beside each that is wrong.
export function taken(fields) {
  const values = {};
  let wrong = null;
  for (const field of fields) {
    try {
      const value = field.take();
      field.complain("");
      if (value !== undefined) values[field.name] = value;
    } catch (error) {
      field.complain(error.message);
      wrong ??= field;
    }
  }
  if (wrong) {
    wrong.input.closest("details")?.setAttribute("open", "");
    wrong.input.focus();
    throw new WrongField();
  }
  return values;
}
