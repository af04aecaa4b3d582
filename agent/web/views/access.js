// Tokens, sessions and login codes: listed, made and ended; a board on a wall is a token of its own.

import { ask, at, get } from "../core/api.js";
import { el, say, table, text } from "../core/dom.js";
import { moment, span, when } from "../core/format.js";
import { known, t } from "../core/i18n.js";
import { card, failed, inline, plain, trouble } from "../core/parts.js";
import { Field, taken } from "../forms/field.js";
import { confirm, makeForm } from "../forms/form.js";

const ROLES = ["viewer", "operator", "admin", "kiosk"];

export function openAccess(place) {
  const tokens = el("div");
  const sessions = el("div");
  const complaint = trouble();
  const name = new Field("name", { label: t("token.name") });
  const role = new Field("role", { label: t("token.role"), kind: "select", choices: ROLES.map((one) => [one, t(`role.${one}`)]), value: "viewer", needed: true });
  const life = new Field("expires", { label: t("token.life"), hint: t("token.life.hint") });
  const fields = [name, role, life];
  const shown = el("output", { class: "secret", "aria-live": "polite" });
  // A board is a viewer that stays signed in.
  const rights = ({ role: chosen, ...rest }) => (chosen === "kiosk" ? { ...rest, kiosk: true } : { ...rest, role: chosen });
  const form = makeForm({
    content: [el("h2", {}, t("token.make")), el("div", { class: "row" }, fields.map((field) => field.element))], fields: () => fields, verb: t("token.make"), id: "token-form",
    after: [plain(t("token.code"), code, { id: "login-code" })],
    send: async () => {
      const made = await ask("POST", "tokens", { body: rights(taken(fields)) });
      secret(made.token, t("token.text"));
      await load();
    },
  });
  place.append(complaint, el("section", { class: "card", "aria-label": t("token.make") }, form, shown), card(t("tokens"), tokens), card(t("sessions"), sessions));

  function secret(words, note) {
    const copy = plain(t("token.copy"), async () => {
      await navigator.clipboard.writeText(words).catch(() => {});
      say(t("token.copied"));
    });
    shown.replaceChildren(el("p", {}, note), el("code", {}, words), copy);
  }

  async function code() {
    text(complaint, "");
    try {
      const made = await ask("POST", "session/code", { body: rights({ role: role.take() }) });
      secret(made.code, t("token.code.text", { span: span(made.seconds), address: `${location.origin}/#/sign-in/…` }));
    } catch (error) {
      text(complaint, failed(error));
    }
  }

  const cross = (key, label, run) => inline(t(key), run, { "aria-label": `${t(key)}: ${label}` });

  function revoke(token, label) {
    confirm(t("token.revoke.q", { label }), t("token.revoke.words"), t("token.revoke"), async () => {
      await ask("DELETE", `tokens/${at(token.id)}`);
      await load();
    }, t("token.revoked", { label }));
  }

  async function end(session) {
    await ask("DELETE", `sessions/${at(session.id)}`).catch((error) => text(complaint, failed(error)));
    await load();
  }

  async function load() {
    const [had, open] = await Promise.all([get("tokens"), get("sessions")]);
    const token = (one) => {
      const label = one.name || one.id;
      return [label, one.device ? [t("col.device"), ...(one.device === one.name ? [] : [one.device])].join(" ") : t(`role.${one.kiosk ? "kiosk" : one.role}`), when(one.created), one.expires ? moment(one.expires) : t("token.never"), when(one.used), cross("token.revoke", label, () => revoke(one, label))];
    };
    tokens.replaceChildren(table(t("tokens"), [t("token.name"), t("token.role"), t("token.created"), t("token.expires"), t("session.seen"), ""], had.tokens.map(token), t("token.none")));
    const session = (one) => [one.name, known(`role.${one.role}`, one.role), when(one.opened), when(one.seen), one.address, cross("session.end", one.name, () => end(one))];
    sessions.replaceChildren(table(t("sessions"), [t("token.name"), t("token.role"), t("session.opened"), t("session.seen"), t("session.from"), ""], open.sessions.map(session), t("session.none")));
  }
  load().catch((error) => text(complaint, failed(error)));
}
