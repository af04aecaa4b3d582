// Limits of values as rows: a value, the least, the most.

import { el } from "../core/dom.js";
import { nameOf } from "../core/format.js";
import { t } from "../core/i18n.js";
import { nextId, numberOf } from "./field.js";

// Behaves like one field named `thresholds`.
export class LimitRows {
  name = "thresholds";
  #rows = [];
  #names;

  // `names`: the values that the device is known to give.
  constructor(limits, names) {
    this.#names = nextId("names");
    this.#places = el("div", { class: "limits" });
    this.error = el("p", { class: "error", id: nextId("limits-error") });
    this.input = el("button", { type: "button", class: "plain", onclick: () => this.#add("", {}).focus() }, t("f.add-limit"));
    this.element = el("fieldset", { class: "limit-field" }, el("legend", {}, t("f.thresholds")), el("p", { class: "hint" }, t("f.thresholds.hint")), this.#places, this.input, this.error,
      el("datalist", { id: this.#names }, names.map((name) => el("option", { value: name }, nameOf(name)))));
    for (const [name, limit] of Object.entries(limits)) this.#add(name, limit);
  }

  #places;

  #add(name, { min, max }) {
    const field = (label, value, properties) => {
      const input = el("input", { type: "text", "aria-label": label, placeholder: label, autocomplete: "off", ...properties });
      input.value = value ?? "";
      return input;
    };
    const row = { name: field(t("f.value"), name, { list: this.#names, spellcheck: "false" }), min: field(t("f.min"), min, { inputmode: "decimal" }), max: field(t("f.max"), max, { inputmode: "decimal" }) };
    row.element = el("div", { class: "limit-row" }, row.name, row.min, row.max, el("button", { type: "button", class: "plain", "aria-label": t("f.remove-limit"), onclick: () => {
      row.element.remove();
      this.#rows = this.#rows.filter((one) => one !== row);
      this.input.focus();
    } }, "×"));
    this.#rows.push(row);
    this.#places.append(row.element);
    return row.name;
  }

  take() {
    const limits = {};
    for (const row of this.#rows) {
      const name = row.name.value.trim();
      const [min, max] = [row.min.value.trim(), row.max.value.trim()];
      if (!name && !min && !max) continue;
      if (!name || (!min && !max)) throw new Error(t("wrong.limit"));
      limits[name] = { ...(min ? { min: numberOf(min) } : {}), ...(max ? { max: numberOf(max) } : {}) };
    }
    return Object.keys(limits).length ? limits : undefined;
  }

  complain(words) {
    this.error.textContent = words;
  }
}
