// Sends a command to a device: the form follows from what the driver declares, the outcome stands below it.

import { ask, at, get } from "./api.js";
import { el, say } from "./dom.js";
import { Field, fieldsOf, openForm, taken } from "./forms.js";

const OUTCOME = { done: "good", accepted: "good", failed: "bad", rejected: "bad", "outcome-unknown": "warn" };

export async function sendCommand(device) {
  let commands;
  try {
    ({ commands } = await get(`devices/${at(device)}`));
  } catch (error) {
    say(error.message);
    return;
  }
  const byName = new Map(commands.map((command) => [command.name, command]));
  const which = new Field("command", { label: "Command", kind: "select", choices: [...byName.keys()], needed: true });
  const about = el("p", { class: "hint" });
  const place = el("div");
  const outcome = el("output", { "aria-live": "polite" });
  let fields = [];

  function choose() {
    const command = byName.get(which.input.value);
    fields = command ? fieldsOf(command.parameters) : [];
    about.textContent = command?.title ?? "";
    place.replaceChildren(...fields.map((field) => field.element));
    outcome.replaceChildren();
  }

  function tell(response) {
    const words = [el("strong", { class: `state ${OUTCOME[response.status] ?? ""}` }, response.status)];
    if (response.error) words.push(el("p", {}, [response.error.message, response.error.hint].filter(Boolean).join("; ")));
    if (response.result && Object.keys(response.result).length) words.push(el("pre", {}, JSON.stringify(response.result, null, 1)));
    outcome.replaceChildren(...words);
  }

  which.input.addEventListener("change", choose);
  openForm({
    title: `Command for ${device}`,
    content: [which.element, about, place, outcome],
    fields: () => fields,
    verb: "Send",
    after: "Close",
    stays: true,
    send: async () => {
      const parameters = taken(fields);
      outcome.replaceChildren("It is under way ...");
      try {
        tell(await ask("POST", `devices/${at(device)}/command`, { body: { command: which.input.value, parameters } }));
      } catch (error) {
        outcome.replaceChildren();
        if (!error.response) throw error;
        tell(error.response);
      }
    },
  });
  choose();
}
