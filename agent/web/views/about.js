// About this gateway: what it is and where it runs, language, help, and files to take away: backup and support bundle.

import { may } from "../core/api.js";
import { el, pairs } from "../core/dom.js";
import { size, span } from "../core/format.js";
import { choose, language, languages, t } from "../core/i18n.js";
import { anchor, card } from "../core/parts.js";
import { listen, state } from "../core/state.js";

// Which desired state of the fleet is in force, and what became of the newest one.
const desired = (fleet) => fleet?.decided && [fleet.version && t("fleet.version", { version: fleet.version }), fleet.decided !== fleet.version && `${fleet.decided}: ${t(`fleet.${fleet.status}`)}`].filter(Boolean).join(", ");

export function openAbout(place) {
  const facts = el("dl", { class: "pairs" });
  const tongue = el("select", { id: "language", onchange: () => choose(tongue.value) }, languages.map((code) => el("option", { value: code }, new Intl.DisplayNames([code], { type: "language" }).of(code))));
  tongue.value = language;
  const file = (key, path) => [anchor(t(key), `/api/v1/${path}`, { class: "button plain", download: "", id: path }), el("p", { class: "hint" }, t(`${key}.hint`))];
  place.append(card(t("about.gateway"), facts), el("section", { class: "card", "aria-label": t("language") }, el("label", { for: "language" }, t("language")), tongue),
    may("admin") ? card(t("files"), file("files.support", "support-bundle"), file("files.backup", "backup")) : "",
    card(t("help"), el("ul", { class: "plain-list" }, [["docs", "/docs"], ["docs.metrics", "/metrics"]].map(([key, path]) => el("li", {}, anchor(t(key), path))))));
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
      [t("gateway.fleet"), desired(status.fleet)],
      [t("set.files"), (status.settings?.files ?? []).join(", ")],
      ["Gatepost", status.version ? t("version", { version: status.version }) : ""],
    ]);
  }
  all();
  return listen({ status: all });
}
