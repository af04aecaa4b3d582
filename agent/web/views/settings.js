// Settings: every key with its value and where it is written; tokens, sessions and login codes; about this gateway.

import { ask, at, get, may, served } from "../core/api.js";
import { el, pairs, say, table, text } from "../core/dom.js";
import { moment, size, span, when } from "../core/format.js";
import { choose, known, language, languages, t } from "../core/i18n.js";
import { anchor, button, failed, heading } from "../core/parts.js";
import { listen, state } from "../core/state.js";
import { Field, taken } from "../forms/field.js";
import { confirm, makeForm } from "../forms/form.js";

const ROLES = ["viewer", "operator", "admin"];

async function openAll(place) {
  const search = el("input", { type: "search", placeholder: t("search"), "aria-label": t("search"), oninput: () => draw() });
  const body = el("div", { class: "card" }, el("p", { class: "soft" }, t("loading")));
  const told = el("div", { class: "problems" });
  const complaint = el("p", { class: "error", role: "alert" });
  const reload = may("operator") ? button(t("set.reload"), () => again(), { class: "plain", id: "reload" }) : null;
  let lines = [];
  place.append(el("div", { class: "filters" }, search, reload), complaint, told, body);

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const rows = lines.filter((line) => !wanted || `${line.key} ${line.value} ${line.origin}`.toLowerCase().includes(wanted));
    body.replaceChildren(table(t("set.all"), [t("set.key"), t("set.value"), t("set.origin")], rows.map((line) => [el("code", {}, line.key), line.value, line.origin === "default" ? el("span", { class: "soft" }, t("set.default")) : line.origin]), t("none")));
  }

  function problems(list) {
    told.replaceChildren(...(list.length ? [el("h2", {}, t("set.problems")), el("ul", { class: "card plain-list" }, list.map((problem) => el("li", { class: "bad" }, typeof problem === "string" ? problem : [problem.where, problem.message, problem.hint].filter(Boolean).join(": "))))] : []));
  }

  async function again() {
    text(complaint, "");
    try {
      const result = await ask("POST", "reload", { body: {} });
      problems(result.problems ?? []);
      if (result.applied) say(t("set.reloaded"));
      await load();
    } catch (error) {
      text(complaint, failed(error));
    }
  }

  async function load() {
    try {
      lines = (await get("settings")).settings;
      if (lines.some((line) => line.origin === "last good settings")) text(complaint, t("set.last-good"));
      draw();
    } catch (error) {
      text(complaint, failed(error));
    }
  }
  problems(state.status?.settings?.problems ?? []);
  await load();
}

async function openAccess(place) {
  const tokens = el("div");
  const sessions = el("div");
  const complaint = el("p", { class: "error", role: "alert" });
  const name = new Field("name", { label: t("token.name") });
  const role = new Field("role", { label: t("token.role"), kind: "select", choices: ROLES.map((one) => [one, t(`role.${one}`)]), value: "viewer", needed: true });
  const life = new Field("expires", { label: t("token.life"), hint: t("token.life.hint") });
  const fields = [name, role, life];
  const shown = el("output", { class: "secret", "aria-live": "polite" });
  const form = makeForm({
    content: [el("h2", {}, t("token.make")), el("div", { class: "row" }, fields.map((field) => field.element))], fields: () => fields, verb: t("token.make"), id: "token-form",
    after: [button(t("token.code"), code, { class: "plain", id: "login-code" })],
    send: async () => {
      const made = await ask("POST", "tokens", { body: taken(fields) });
      secret(made.token, t("token.text"));
      await load();
    },
  });
  place.append(complaint, el("section", { class: "card" }, form, shown), el("section", { "aria-labelledby": "tokens-title" }, el("h2", { id: "tokens-title" }, t("tokens")), el("div", { class: "card" }, tokens)), sessions);

  function secret(words, note) {
    const copy = button(t("token.copy"), async () => {
      await navigator.clipboard.writeText(words).catch(() => {});
      say(t("token.copied"));
    }, { class: "plain" });
    shown.replaceChildren(el("p", {}, note), el("code", {}, words), copy);
  }

  async function code() {
    text(complaint, "");
    try {
      const made = await ask("POST", "session/code", { body: { role: role.take() } });
      secret(made.code, t("token.code.text", { span: span(made.seconds) }));
    } catch (error) {
      text(complaint, failed(error));
    }
  }

  function revoke(token) {
    const label = token.name || token.id;
    confirm(t("token.revoke.q", { label }), t("token.revoke.words"), t("token.revoke"), async () => {
      await ask("DELETE", `tokens/${at(token.id)}`);
      await load();
    }, t("token.revoked", { label }));
  }

  async function load() {
    const found = await get("tokens");
    const row = (token) => [token.name || token.id, t(`role.${token.role}`), when(token.created), token.expires ? moment(token.expires) : t("token.never"), token.used ? when(token.used) : "", button(t("token.revoke"), () => revoke(token), { class: "text", "aria-label": `${t("token.revoke")}: ${token.name || token.id}` })];
    tokens.replaceChildren(table(t("tokens"), [t("token.name"), t("token.role"), t("token.created"), t("token.expires"), t("session.seen"), ""], found.tokens.map(row), t("token.none")));
    if (!(await served("/api/v1/sessions"))) return;
    const open = (await get("sessions")).sessions;
    const line = (one) => [one.name, known(`role.${one.role}`, one.role), one.opened ? when(one.opened) : "", one.seen ? when(one.seen) : "", one.address ?? "", button(t("session.end"), () => end(one), { class: "text", "aria-label": `${t("session.end")}: ${one.name}` })];
    sessions.replaceChildren(el("h2", {}, t("sessions")), el("div", { class: "card" }, table(t("sessions"), [t("token.name"), t("token.role"), t("session.opened"), t("session.seen"), t("session.from"), ""], open.map(line), t("session.none"))));
  }

  async function end(session) {
    await ask("DELETE", `sessions/${at(session.id)}`).catch((error) => text(complaint, failed(error)));
    await load();
  }
  await load().catch((error) => text(complaint, failed(error)));
}

function openAbout(place) {
  const facts = el("dl", { class: "pairs" });
  const tongue = el("select", { id: "language", onchange: () => choose(tongue.value) }, languages.map((code) => el("option", { value: code }, new Intl.DisplayNames([code], { type: "language" }).of(code))));
  tongue.value = language;
  place.append(el("section", { class: "card" }, facts), el("section", { class: "card" }, el("label", { for: "language" }, t("language")), tongue),
    el("section", { class: "card" }, el("h2", {}, t("help")), el("ul", { class: "plain-list" }, el("li", {}, anchor(t("docs"), "/docs")), el("li", {}, anchor(t("docs.metrics"), "/metrics")))));
  function all() {
    const { status } = state;
    if (!status) return;
    pairs(facts, [
      [t("gateway.id"), status.gateway.id],
      [t("gateway.organization"), status.gateway.organization],
      [t("gateway.labels"), Object.entries(status.gateway.labels ?? {}).map(([key, value]) => `${key}: ${value}`).join(", ")],
      [t("clock"), t(status.clock.synchronised ? "clock.good" : "clock.bad")],
      [t("gateway.uptime"), span(status.uptime)],
      [t("gateway.store"), [status.store.state, size(status.store.file_bytes)].join(", ")],
      [t("gateway.api"), status.api?.listen],
      [t("set.files"), (status.settings?.files ?? []).join(", ")],
      ["Gatepost", status.version ? t("version", { version: status.version }) : ""],
    ]);
  }
  all();
  return listen({ status: all });
}

const TABS = { all: openAll, access: openAccess, about: openAbout };

export function open(main, tab = "all") {
  heading({ title: t("place.settings") });
  const names = Object.keys(TABS).filter((name) => name !== "access" || may("admin"));
  main.append(el("nav", { class: "tabs", "aria-label": t("place.settings") }, names.map((name) => anchor(t(`set.${name}`), `#/settings/${name}`, name === tab ? { "aria-current": "page" } : {}))));
  const place = el("div");
  main.append(place);
  const stop = names.includes(tab) ? TABS[tab](place) : null;
  return { close: () => typeof stop === "function" && stop() };
}
