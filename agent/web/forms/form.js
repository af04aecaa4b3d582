// Forms, in a view or in a dialog: sending, and errors at the field that they are about.

import { el, say, text } from "../core/dom.js";
import { said } from "../core/format.js";
import { t } from "../core/i18n.js";
import { failed, trouble } from "../core/parts.js";
import { nextId, WrongField } from "./field.js";

// A form; `send()` does it. An error goes beside the field that its `problems` name, the rest above the buttons.
export function makeForm({ content, fields, verb, send, after = [], id }) {
  const error = trouble();
  const submit = el("button", { type: "submit" }, verb);
  const form = el("form", { novalidate: true, id }, content, error, el("div", { class: "actions" }, submit, after));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    text(error, "");
    submit.disabled = true;
    try {
      await send();
    } catch (failure) {
      if (!(failure instanceof WrongField)) text(error, placed(failure, fields()));
    } finally {
      submit.disabled = false;
    }
  });
  return form;
}

// A problem names its key as in a settings file: devices.NAME.options.format, brokers.NAME.url.
export function placed(failure, fields) {
  const left = [];
  let first = null;
  for (const problem of failure.problems ?? []) {
    const path = String(problem.where).split(".").slice(2);
    const words = said(problem.message, problem.hint);
    const field = fields.find((one) => one.name === problem.where) ?? fields.find((one) => one.name === path.join(".")) ?? fields.find((one) => one.name === path.slice(0, 2).join(".")) ?? fields.find((one) => one.name === path[0]) ?? fields.find((one) => String(problem.where).startsWith(`${one.name}.`));
    if (field) {
      field.complain(words);
      first ??= field;
    } else {
      left.push(problem.where ? `${problem.where}: ${words}` : words);
    }
  }
  first?.input.closest("details")?.setAttribute("open", "");
  first?.input.focus();
  return failure.problems?.length ? left.join("\n") : failed(failure);
}

// A form in a modal dialog, which closes when it was sent unless it `stays`.
export function openDialog({ title, content, fields = () => [], verb, send, after = t("cancel"), more = [], done = t("done"), stays = false }) {
  const heading = el("h2", { id: nextId("dialog") }, title);
  const close = el("button", { type: "button", class: "plain", onclick: () => dialog.close() }, after);
  const form = makeForm({
    content: [heading, ...content], fields, verb, after: [...more, close],
    send: async () => {
      await send();
      if (!stays) finish();
    },
  });
  const finish = () => {
    dialog.close();
    say(done);
  };
  const dialog = el("dialog", { "aria-labelledby": heading.id }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export function confirm(title, words, verb, send, done) {
  return openDialog({ title, content: [el("p", {}, words)], verb, send, done });
}
