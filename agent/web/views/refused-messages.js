// What a device sent by MQTT that was not taken, for whoever writes its mapping.

import { get } from "../core/api.js";
import { el, show, table } from "../core/dom.js";
import { number, span, words } from "../core/format.js";
import { known, t } from "../core/i18n.js";
import { card } from "../core/parts.js";

const AGAIN = 10000;

export class RefusedMessages {
  #device;
  #list = el("div", { class: "lines" });
  #timer = 0;
  #over = false;

  constructor(device) {
    this.#device = device;
    this.element = card(t("untaken"), this.#list, el("p", { class: "hint" }, t("untaken.hint")));
    show(this.element, false);
    this.#load();
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  async #load() {
    const { refused } = await get("listener/refused").catch(() => ({ refused: [] }));
    if (this.#over) return;
    const mine = refused.filter((one) => one.device === this.#device);
    const row = ({ age, count, reason, topic, payload }) => [`${t("ago", { span: span(age) })}${count > 1 ? `, ${number(count)} ×` : ""}`, known(`untaken.${reason}`, words(reason)), el("div", {}, topic, el("br"), el("code", {}, payload ?? t("untaken.secret")))];
    this.#list.replaceChildren(table(t("untaken"), [t("col.when"), t("col.why"), t("log.text")], mine.map(row), ""));
    show(this.element, mine.length > 0);
    this.#timer = setTimeout(() => this.#load(), AGAIN);
  }
}
