// Dialogs with a form: fields by name, errors beside the field that they are about.

import { el, say, text } from "./dom.js";

let count = 0;

// One field. kind: text, number, integer, checkbox, select (choices), json, password; `take()` gives the value or
// undefined when it is empty, and throws a sentence when it is none.
export class Field {
  constructor(name, { label = name, kind = "text", value, hint = "", choices = [], needed = false, list, fixed = false } = {}) {
    count += 1;
    const id = `field-${count}`;
    this.name = name;
    this.kind = kind;
    this.needed = needed;
    if (kind === "select") {
      this.input = el("select", {}, ...(needed ? [] : [el("option", { value: "" }, "–")]), ...choices.map((choice) => el("option", {}, String(choice))));
      this.choices = choices;
    } else if (kind === "json") {
      this.input = el("textarea", { spellcheck: "false" });
    } else {
      const type = kind === "checkbox" || kind === "password" ? kind : "text";
      const mode = kind === "number" ? "decimal" : kind === "integer" ? "numeric" : undefined;
      this.input = el("input", { type, inputmode: mode, autocomplete: kind === "password" ? "new-password" : "off", spellcheck: "false" });
    }
    this.input.id = id;
    this.input.name = name;
    if (needed && kind !== "checkbox") this.input.setAttribute("aria-required", "true");
    if (fixed) this.input.readOnly = true;
    if (kind === "checkbox") this.input.checked = Boolean(value);
    else if (value !== undefined && value !== null) this.input.value = kind === "json" ? JSON.stringify(value, null, 1) : String(value);
    this.error = el("p", { class: "error", id: `${id}-error` });
    const told = [this.error.id];
    this.element = el("div", {}, el("label", { for: id }, label + (needed ? " (needed)" : "")), this.input, this.error);
    if (hint) {
      told.unshift(`${id}-hint`);
      this.element.insertBefore(el("p", { class: "hint", id: `${id}-hint` }, hint), this.input);
    }
    if (list) {
      this.input.setAttribute("list", `${id}-list`);
      this.element.append(el("datalist", { id: `${id}-list` }, ...list.map((value_) => el("option", { value: value_ }))));
    }
    this.input.setAttribute("aria-describedby", told.join(" "));
  }

  take() {
    if (this.kind === "checkbox") return this.input.checked;
    const raw = this.input.value.trim();
    if (raw === "") {
      if (this.needed) throw new Error("this is needed");
      return undefined;
    }
    if (this.kind === "select") return this.choices.find((choice) => String(choice) === raw);
    if (this.kind === "number" || this.kind === "integer") {
      const value = Number(raw);
      if (!Number.isFinite(value) || (this.kind === "integer" && !Number.isInteger(value))) throw new Error("this is no number");
      return value;
    }
    if (this.kind === "json") {
      try {
        return JSON.parse(raw);
      } catch {
        throw new Error("this is no JSON");
      }
    }
    return raw;
  }

  complain(words) {
    text(this.error, words);
    if (words) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}

export class Wrong extends Error {} // a field is; it says so itself

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
    wrong.input.focus();
    throw new Wrong();
  }
  return values;
}

// A modal form; `send()` does it. An error goes beside the field that its `problems` name, the rest above the buttons.
export function openForm({ title, content, fields, verb, send, after = "Cancel", done = "Done", stays = false }) {
  count += 1;
  const heading = el("h2", { id: `form-${count}` }, title);
  const error = el("p", { class: "error", role: "alert" });
  const submit = el("button", { type: "submit" }, verb);
  const close = el("button", { type: "button", class: "plain", onclick: () => dialog.close() }, after);
  const form = el("form", { novalidate: true }, heading, ...content, error, el("div", { class: "actions" }, submit, close));
  const dialog = el("dialog", { "aria-labelledby": heading.id }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    text(error, "");
    submit.disabled = true;
    try {
      await send();
      if (!stays) {
        dialog.close();
        say(done);
      }
    } catch (failure) {
      if (!(failure instanceof Wrong)) text(error, place(failure, fields()));
    } finally {
      submit.disabled = false;
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function place(failure, fields) {
  const left = [];
  for (const problem of failure.problems ?? []) {
    const parts = String(problem.where).split(".").slice(2);
    const words = problem.hint ? `${problem.message}; ${problem.hint}` : problem.message;
    const field = fields.find((one) => one.name === parts[0]) ?? null;
    if (!field) left.push(parts.length ? `${parts.join(".")}: ${words}` : words);
    else field.complain(words);
  }
  const first = fields.find((one) => one.input.getAttribute("aria-invalid"));
  if (first) first.input.focus();
  if (failure.problems?.length) return left.join("\n");
  return failure.words ?? (failure.name === "TimeoutError" ? "the gateway took too long" : "the gateway cannot be reached");
}

export function confirm(title, words, verb, send, done) {
  openForm({ title, content: [el("p", {}, words)], fields: () => [], verb, send, done });
}

// Fields for a JSON Schema of an object.
export function fieldsOf(schema) {
  const defs = schema.$defs ?? {};
  const open = (part) => (part?.$ref ? { ...defs[part.$ref.split("/").pop()], ...part } : (part ?? {}));
  const top = open(schema);
  return Object.entries(top.properties ?? {}).map(([name, part]) => {
    let told = open(part);
    const choices = (told.anyOf ?? []).map(open).filter((one) => one.type !== "null");
    if (choices.length) told = { ...choices.find((one) => one.type === "string" || one.enum) ?? choices[0], ...told };
    const many = choices.length > 1 && !choices.every((one) => one.type === "number" || one.type === "integer");
    const needed = (top.required ?? []).includes(name);
    const hint = [told.description, told.default !== undefined && told.default !== null && told.default !== "" ? `otherwise ${JSON.stringify(told.default)}` : ""].filter(Boolean).join("; ");
    if (told.enum) return new Field(name, { kind: "select", choices: told.enum, needed, hint });
    if (told.type === "boolean") return new Field(name, { kind: "select", choices: [true, false], needed, hint });
    if (many) return new Loose(name, { needed, hint });
    const kind = { integer: "integer", number: "number", string: "text" }[told.type] ?? "json";
    return new Field(name, { kind, needed, hint });
  });
}

// A number where it reads as one, else text: such as durations, 30 or "5m".
class Loose extends Field {
  take() {
    const raw = super.take();
    return raw !== undefined && raw !== "" && Number.isFinite(Number(raw)) ? Number(raw) : raw;
  }
}
