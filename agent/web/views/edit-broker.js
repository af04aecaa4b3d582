// Settings of a broker, or a new one: address, format with its options by schema, and the rest folded away.

import { ask, at, get } from "../core/api.js";
import { el, say, text } from "../core/dom.js";
import { number, said } from "../core/format.js";
import { translated } from "../core/help.js";
import { known, t } from "../core/i18n.js";
import { anchor, failed, heading, inline, plain, trouble } from "../core/parts.js";
import { go } from "../core/router.js";
import { state } from "../core/state.js";
import { Field, taken, WrongField } from "../forms/field.js";
import { makeForm, placed } from "../forms/form.js";
import { fieldsOf, keyed } from "../forms/schema.js";

const OWN = new Set(["url", "label", "username", "password", "client_id", "qos", "active", "format", "options", "protocol", "commands", "tls"]);

class BrokerForm {
  #had;
  #options = [];
  #format = "";
  #optionPlace = el("fieldset", { hidden: true });

  constructor(name, had, formats) {
    this.#had = had;
    const field = (key, options = {}) => new Field(key, { label: t(`b.${key}`), value: had[key], ...options });
    const hinted = (key, options = {}) => field(key, { hint: t(`b.${key}.hint`), ...options });
    this.main = [
      new Field("name", { label: t("b.name"), value: name ?? "", needed: true, fixed: name !== null, hint: t("f.id.hint") }),
      new Field("label", { label: t("f.label"), value: had.label, hint: t("b.label.hint") }),
      hinted("url", { needed: true }), field("username"), field("password", { kind: "password", value: undefined, hint: had.password ? t("b.password.kept") : "" }),
    ];
    this.format = hinted("format", formats.length ? { kind: "select", choices: formats, value: had.format ?? "devices", needed: true } : { value: had.format });
    this.format.input.addEventListener("change", () => this.load());
    const chosen = { kind: "select", needed: true };
    this.more = [
      hinted("client_id"), hinted("qos", { ...chosen, choices: [0, 1, 2], value: had.qos ?? 1 }), field("protocol", { ...chosen, choices: ["auto", "5", "3.1.1"], value: String(had.protocol ?? "auto") }),
      new Field("ca", { label: t("b.tls.ca"), value: had.tls?.ca, hint: t("b.tls.ca.hint") }), field("commands", { kind: "checkbox", value: had.commands ?? true }), field("active", { kind: "checkbox", value: had.active ?? true }),
    ];
    this.expert = new Field("expert", { label: "JSON", kind: "json", hint: t("f.expert.hint") });
    const fold = (words, parts) => el("details", {}, el("summary", {}, words), parts.map((part) => part.element));
    this.element = el("div", { class: "form" }, this.main.map((one) => one.element), this.format.element, this.#optionPlace, fold(t("b.more"), this.more), fold(t("f.expert"), [this.expert]));
  }

  get fields() {
    return [...this.main, this.format, ...this.#options, ...this.more, this.expert];
  }

  async load() {
    const format = this.format.input.value;
    if (format === this.#format) return;
    this.#format = format;
    const found = format ? await get(`formats/${at(format)}`).catch(() => ({ options: {} })) : { options: {} };
    if (format !== this.#format) return;
    this.#options = fieldsOf(found.options ?? {}, (this.#had.format ?? "devices") === format ? this.#had.options : {}, "options.");
    this.#optionPlace.replaceChildren(el("legend", {}, t("b.options")), el("p", { class: "hint" }, translated(found.summary)), ...this.#options.map((one) => one.element));
    this.#optionPlace.hidden = this.#options.length === 0 && !found.summary;
  }

  // {name, settings}; what the form does not know stays as it was.
  take() {
    const values = taken(this.fields);
    const { name, expert = {}, ca } = values;
    const rest = Object.fromEntries(Object.entries(this.#had).filter(([key]) => !OWN.has(key)));
    const own = Object.fromEntries([...OWN].filter((key) => key in values && key !== "options").map((key) => [key, values[key]]));
    if (own.password === undefined && this.#had.password !== undefined) own.password = this.#had.password;
    const { ca: _, ...secure } = this.#had.tls ?? {};
    const tls = ca ? { ...secure, ca } : secure;
    const options = keyed(this.#options, values);
    return { name, settings: { ...rest, ...own, ...(Object.keys(tls).length ? { tls } : {}), ...(Object.keys(options).length ? { options } : {}), ...expert } };
  }
}

// Brokers that announce themselves on the network, to be taken with a click.
function discovered(form) {
  const place = el("div");
  get("brokers/discovered").then(({ brokers }) => {
    const fresh = brokers.filter((broker) => !broker.configured);
    if (!fresh.length) return;
    place.append(el("p", { class: "soft" }, t("b.discovered")), el("ul", { class: "plain-list" }, fresh.map((broker) => el("li", {}, `${broker.name} (${broker.url}) `, inline(t("wizard.use"), () => {
      form.main[2].set(broker.url);
      form.main[2].input.focus();
    }, { "aria-label": `${t("wizard.use")}: ${broker.name}` })))));
  }).catch(() => {}); // nobody is obliged to announce itself
  return place;
}

const STEP = { ok: "good", failed: "bad", unknown: "warn" };

// A trial of what the form says: each step to the broker, and why one failed.
function connectionTest(form, name) {
  const steps = el("ol", { class: "plain-list test" });
  const words = el("p", { role: "status" });
  const complaint = trouble();
  const step = ({ step: which, state: how, detail, ms, message, hint }) => el("li", {}, el("span", { class: `sign ${STEP[how] ?? "idle"}` }, known(`b.step.${which}`, which)), " ",
    el("span", { class: "soft" }, [known(`b.is.${how}`, how), detail, ms === undefined ? "" : `${number(ms)} ms`].filter(Boolean).join(", ")), message ? el("p", {}, said(message, hint)) : null);
  const press = plain(t("b.test"), async () => {
    press.disabled = true;
    text(complaint, "");
    steps.replaceChildren();
    try {
      const { settings } = form.take();
      text(words, t("b.testing"));
      const found = await ask("POST", "broker-test", { body: { ...(name === null ? {} : { broker: name }), settings } });
      text(words, t(found.ok ? "b.test.good" : "b.test.bad"));
      steps.replaceChildren(...found.steps.map(step));
      steps.scrollIntoView({ block: "nearest" });
    } catch (error) {
      text(words, "");
      if (!(error instanceof WrongField)) text(complaint, placed(error, form.fields));
    }
    press.disabled = false;
  }, { id: "test" });
  return { press, result: el("div", {}, words, steps, complaint) };
}

export function open(main, name = null) {
  const title = (label) => heading({ title: name === null ? t("add-broker") : t("broker.settings", { label }), crumbs: [[t("place.brokers"), "#/brokers"]] });
  title(name);
  const wait = el("p", { class: "soft" }, t("loading"));
  main.append(wait);
  let over = false;
  load();

  async function load() {
    try {
      const [broker, { formats }] = await Promise.all([name === null ? { configured: {} } : get(`brokers/${at(name)}`), get("formats").catch(() => ({ formats: [] }))]);
      if (over) return;
      title(broker.label || name);
      const form = new BrokerForm(name, broker.configured ?? {}, formats);
      await form.load();
      const test = connectionTest(form, name);
      wait.replaceWith(...(name === null ? [discovered(form)] : []), makeForm({
        content: [form.element, test.result], fields: () => form.fields, verb: t("save"), id: "broker-form", after: [test.press, anchor(t("cancel"), "#/brokers", { class: "button plain" })],
        send: async () => {
          const { name: called, settings } = form.take();
          if (name === null) await ask("POST", "brokers", { body: { name: called, ...settings } });
          else await ask("PUT", `brokers/${at(name)}`, { body: settings, match: broker.etag });
          say(t("saved", { label: settings.label || called }));
          await state.refresh();
          go("#/brokers");
        },
      }));
    } catch (error) {
      wait.textContent = error.status === 404 ? t("broker.missing") : failed(error);
    }
  }
  return { close: () => (over = true) };
}
