// Brokers: how each link is, what waits for it and how fast that drains; a switch that asks before it cuts one off.

import { ask, at, may } from "../core/api.js";
import { el, keep, pairs, say, show, text } from "../core/dom.js";
import { age, number, said, span, when } from "../core/format.js";
import { t } from "../core/i18n.js";
import { anchor, failed, heading, pace, plain, sign, tell, trouble } from "../core/parts.js";
import { link } from "../core/router.js";
import { listen, state } from "../core/state.js";
import { labelOf, signOfBroker } from "../core/trouble.js";
import { confirm } from "../forms/form.js";

class BrokerCard {
  #sign = sign();
  #title = el("h2");
  #switch;
  #facts = el("dl", { class: "pairs" });
  #reason = el("p", { class: "notice" });
  #error = trouble();
  #delivered = pace();
  #broker;

  constructor({ name }) {
    this.name = name;
    this.#switch = el("button", { type: "button", role: "switch", onclick: () => this.#turn() });
    const actions = el("div", { class: "actions" },
      may("operator") ? this.#switch : null,
      may("admin") ? anchor(t("place.settings"), link("brokers", name, "settings"), { class: "button plain", "aria-label": `${t("place.settings")}: ${name}` }) : null,
      may("admin") ? plain(t("remove"), () => this.#remove(), { "aria-label": `${t("remove")}: ${name}` }) : null);
    this.element = el("li", { class: "card broker", "data-name": name }, el("div", { class: "head" }, this.#title, this.#sign), this.#reason, this.#facts, this.#error, actions);
  }

  update(broker) {
    this.#broker = broker;
    const look = signOfBroker(broker);
    tell(this.#sign, look);
    text(this.#title, labelOf(broker));
    this.#switch.setAttribute("aria-checked", String(Boolean(broker.active)));
    this.#switch.setAttribute("aria-label", t("broker.switch", { label: this.name }));
    text(this.#switch, t(broker.active ? "broker.on" : "broker.off"));
    const owed = broker.owed?.readings ?? 0;
    const count = broker.owed?.exact === false ? t("broker.about", { n: number(owed) }) : number(owed);
    const oldest = broker.owed?.oldest ? t("broker.oldest", { age: age(broker.owed.oldest) }) : "";
    pairs(this.#facts, [
      [t("broker.backlog"), [count, oldest, this.#drain(broker, owed)].filter(Boolean).join(", ")],
      [t("broker.delivered"), number(broker.delivered)],
      [t("broker.dead"), broker.dead_letters ? number(broker.dead_letters) : ""],
      [t("broker.since"), when(broker.offline_since ?? broker.since)],
      [t("broker.next"), broker.next_attempt_in === null ? "" : t("in", { span: span(broker.next_attempt_in) })],
      [t("broker.address"), broker.endpoint ?? broker.url],
      [t("broker.format"), broker.settings?.format ?? broker.format],
      [t("broker.protocol"), broker.protocol ? `MQTT ${broker.protocol}` : ""],
      [t("col.id"), broker.label ? broker.name : ""],
    ]);
    const reason = said(broker.reason, broker.hint);
    text(this.#reason, reason);
    this.#reason.className = `notice ${look.kind}`;
    show(this.#reason, look.kind !== "good" && reason !== "");
  }

  #drain(broker, owed) {
    const rate = this.#delivered(broker.delivered ?? 0);
    if (!owed || rate === null) return "";
    return rate < 0.05 ? t("broker.stuck") : t("broker.rate", { rate: number(Number(rate.toFixed(1))) });
  }

  #turn() {
    if (this.#switch.getAttribute("aria-checked") !== "true") return this.#control("connect");
    const label = labelOf(this.#broker);
    return confirm(t("broker.cut", { label }), t("broker.cut.words"), t("broker.cut.do"), () => this.#control("disconnect"), t("state.disconnected"));
  }

  async #control(action) {
    this.#switch.disabled = true;
    text(this.#error, "");
    try {
      const broker = await ask("POST", `brokers/${at(this.name)}/control`, { body: { action } });
      say(`${labelOf(this.#broker)}: ${signOfBroker({ ...this.#broker, ...broker }).word}`);
    } catch (error) {
      text(this.#error, failed(error));
    }
    this.#switch.disabled = false;
    this.#switch.focus();
    await state.refresh();
  }

  #remove() {
    const label = labelOf(this.#broker);
    confirm(t("remove.broker", { label }), t("remove.broker.words"), t("remove"), async () => {
      await ask("DELETE", `brokers/${at(this.name)}`);
      await state.refresh();
    }, t("removed", { label }));
  }
}

export function open(main) {
  const cards = new Map();
  heading({ title: t("place.brokers"), actions: [may("admin") ? anchor(t("add-broker"), "#/add-broker", { class: "button", id: "add-broker" }) : null] });
  const empty = el("p", { class: "empty", hidden: true }, t("no-brokers"));
  const list = el("ul", { class: "cards wide-cards", id: "brokers", "aria-label": t("place.brokers") });
  main.append(empty, list);
  function all() {
    if (!state.status) return;
    show(empty, state.brokers.length === 0);
    keep(list, cards, state.brokers, (broker) => broker.name, (broker) => new BrokerCard(broker));
  }
  all();
  return { close: listen({ status: all }) };
}
