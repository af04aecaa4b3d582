// Brokers: how each is, its switch, and the form that adds or changes one.

import { ask, at, get, may, Refused } from "./api.js";
import { el, mark, number, pairs, say, show, span, text } from "./dom.js";
import { confirm, Field, openForm, taken } from "./forms.js";

const DRAIN = 15000; // milliseconds over which the rate is taken

export class BrokerCard {
  #state = el("span", { class: "state" });
  #switch = el("button", { type: "button", role: "switch" }, "Connected");
  #facts = el("dl", { class: "pairs" });
  #reason = el("p", { class: "note bad" });
  #error = el("p", { class: "error", role: "alert" });
  #past = [];
  #refresh;

  constructor(broker, refresh) {
    this.name = broker.name;
    this.#refresh = refresh;
    const title = el("h3", {}, broker.name);
    this.#switch.setAttribute("aria-label", `Connect ${broker.name}`);
    this.#switch.addEventListener("click", () => this.#turn());
    const actions = el(
      "div",
      { class: "actions" },
      may("operator") ? this.#switch : null,
      may("admin") ? el("button", { type: "button", class: "plain", "aria-label": `Edit ${this.name}`, onclick: () => editBroker(this.name, refresh) }, "Edit") : null,
      may("admin") ? el("button", { type: "button", class: "plain", "aria-label": `Remove ${this.name}`, onclick: () => this.#remove() }, "Remove") : null,
    );
    this.element = el("li", { class: "card broker", "data-name": broker.name }, el("div", { class: "head" }, title, this.#state), this.#facts, this.#reason, this.#error, actions);
  }

  update(broker) {
    const well = broker.state === "connected";
    mark(this.#state, `state ${well ? "good" : broker.active ? "bad" : ""}`.trim(), broker.state);
    this.#switch.setAttribute("aria-checked", String(Boolean(broker.active)));
    text(this.#switch, broker.active ? "Connect: on" : "Connect: off");
    const owed = broker.owed?.readings ?? 0;
    pairs(this.#facts, [
      ["Address", broker.endpoint ?? broker.url],
      ["Since", broker.since ? new Date(broker.since).toLocaleString() : ""],
      ["Backlog", `${broker.owed?.exact === false ? "about " : ""}${owed}${this.#drain(broker, owed)}`],
      ["Dead letters", broker.dead_letters],
      ["Delivered", broker.delivered],
      ["Next attempt", broker.next_attempt_in === null ? "" : `in ${span(broker.next_attempt_in)}`],
    ]);
    const reason = [broker.reason, broker.hint].filter(Boolean).join("; ");
    text(this.#reason, well ? "" : reason);
    this.#reason.className = `note${broker.active ? " bad" : ""}`;
    show(this.#reason, !well && reason !== "");
  }

  #drain(broker, owed) {
    const now = Date.now();
    const past = this.#past;
    past.push([now, broker.delivered ?? 0]);
    while (past.length > 2 && now - past[0][0] > DRAIN) past.shift();
    const seconds = (now - past[0][0]) / 1000;
    if (!owed || seconds < 1) return "";
    const rate = Math.max(0, (past.at(-1)[1] - past[0][1]) / seconds);
    if (rate < 0.05) return ", not draining";
    return `, ${number(Number(rate.toFixed(1)))}/s delivered`;
  }

  async #turn() {
    const on = this.#switch.getAttribute("aria-checked") === "true";
    this.#switch.disabled = true;
    text(this.#error, "");
    try {
      const broker = await ask("POST", `brokers/${at(this.name)}/control`, { body: { action: on ? "disconnect" : "connect" } });
      say(`${this.name}: ${broker.state}`);
    } catch (error) {
      text(this.#error, error instanceof Refused ? error.words : "the gateway cannot be reached");
    }
    this.#switch.disabled = false;
    this.#switch.focus();
    await this.#refresh();
  }

  #remove() {
    const words = "It is not connected any more, and what it was owed is not sent any more. Readings stay here.";
    confirm(`Remove the broker ${this.name}?`, words, "Remove", async () => {
      await ask("DELETE", `brokers/${at(this.name)}`);
      await this.#refresh();
    }, `${this.name} was removed`);
  }
}

const OWN = ["url", "username", "password", "client_id", "qos", "active"];

// `name` null: a new one.
export async function editBroker(name, refresh) {
  let had = { configured: {}, etag: null };
  if (name !== null) {
    try {
      had = await get(`brokers/${at(name)}`);
    } catch (error) {
      say(error.message);
      return;
    }
  }
  const now = had.configured ?? {};
  const secret = now.password;
  const rest = Object.fromEntries(Object.entries(now).filter(([key]) => !OWN.includes(key)));
  const fields = [
    new Field("name", { label: "Name", value: name ?? "", needed: true, fixed: name !== null, hint: "letters, digits, _ . and -" }),
    new Field("url", { label: "Address", value: now.url, needed: true, hint: "such as mqtts://broker.example:8883" }),
    new Field("username", { label: "User name", value: now.username }),
    new Field("password", { label: "Password", kind: "password", hint: secret ? "empty = as it is" : "" }),
    new Field("client_id", { label: "Client id", value: now.client_id, hint: "empty = made from the gateway's id" }),
    new Field("qos", { label: "QoS", kind: "select", choices: [0, 1, 2], value: now.qos ?? 1, needed: true }),
    new Field("active", { label: "Connect it", kind: "checkbox", value: now.active ?? true }),
    new Field("further", { label: "Further settings (JSON)", kind: "json", value: Object.keys(rest).length ? rest : undefined, hint: "as in a settings file: tls, topics, routes, ..." }),
  ];
  openForm({
    title: name === null ? "Add a broker" : `Edit the broker ${name}`,
    content: fields.map((field) => field.element),
    fields: () => fields,
    verb: "Save",
    done: "The broker was saved",
    send: async () => {
      const { name: called, further, ...settings } = taken(fields);
      if (settings.password === undefined && secret !== undefined) settings.password = secret;
      const body = { ...further, ...settings };
      if (name === null) await ask("POST", "brokers", { body: { name: called, ...body } });
      else await ask("PUT", `brokers/${at(name)}`, { body, match: had.etag });
      await refresh();
    },
  });
}
