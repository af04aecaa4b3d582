// Command for a device: the form follows from what the driver declares, the outcome stands below it.

import { ask, at, get } from "../core/api.js";
import { el, pairs, say, text } from "../core/dom.js";
import { number, said, words } from "../core/format.js";
import { translated } from "../core/help.js";
import { known, t } from "../core/i18n.js";
import { Field, taken } from "../forms/field.js";
import { openDialog } from "../forms/form.js";
import { fieldsOf } from "../forms/schema.js";
import { failed } from "../core/parts.js";

const OUTCOME = { done: "good", accepted: "good", failed: "bad", rejected: "bad", "outcome-unknown": "warn" };
export const outcome = (status) => el("span", { class: `sign ${OUTCOME[status] ?? "idle"}` }, known(`outcome.${status}`, status));

const plainly = (value) => (typeof value === "boolean" ? t(value ? "yes" : "no") : typeof value === "number" ? number(value) : value !== null && typeof value === "object" ? JSON.stringify(value) : value);

function resultOf(result) {
  const list = el("dl", { class: "pairs" });
  pairs(list, Object.entries(result).map(([key, value]) => [words(key), plainly(value)]));
  return list;
}

const labelled = ({ name, title, allowed }) => {
  const words = translated(title) || name;
  return [name, allowed === false ? t("command.refused", { title: words }) : words];
};

export async function sendCommand(id, label, after) {
  let commands;
  try {
    ({ commands } = await get(`devices/${at(id)}`));
  } catch (error) {
    say(failed(error));
    return;
  }
  const byName = new Map(commands.map((command) => [command.name, command]));
  const which = new Field("command", { label: t("command.which"), kind: "select", choices: commands.map(labelled), needed: true });
  const place = el("div");
  const answer = el("output", { "aria-live": "polite" });
  let fields = [];

  function choose() {
    fields = fieldsOf(byName.get(which.input.value)?.parameters ?? {});
    place.replaceChildren(...fields.map((field) => field.element));
    answer.replaceChildren();
  }

  function tell(response) {
    const parts = [outcome(response.status)];
    if (response.error) parts.push(el("p", {}, said(response.error.message, response.error.hint)));
    if (response.result && Object.keys(response.result).length) parts.push(resultOf(response.result));
    answer.replaceChildren(...parts);
  }

  which.input.addEventListener("change", choose);
  openDialog({
    title: t("command.for", { label }),
    content: [which.element, place, answer],
    fields: () => fields,
    verb: t("send"),
    after: t("close"),
    stays: true,
    send: async () => {
      const parameters = taken(fields);
      text(answer, t("command.running"));
      try {
        tell(await ask("POST", `devices/${at(id)}/command`, { body: { command: which.input.value, parameters } }));
      } catch (error) {
        answer.replaceChildren();
        if (!error.response) throw error;
        tell(error.response);
      }
      after?.();
    },
  });
  choose();
}
