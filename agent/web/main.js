// The page: who is here, the frame around the views, and the state of the link.

import { me, signedOut, signOut, whoami } from "./core/api.js";
import { el, find, show, text } from "./core/dom.js";
import { clock } from "./core/format.js";
import { t } from "./core/i18n.js";
import { Router } from "./core/router.js";
import { state } from "./core/state.js";
import { needsPerson } from "./core/trouble.js";
import { openSignIn } from "./views/sign-in.js";

const PLACES = [["overview", "/"], ["devices", "/devices"], ["brokers", "/brokers"], ["log", "/log"], ["settings", "/settings"]];
const WITHIN = { "add-device": "devices", "add-broker": "brokers" };

const router = new Router(opened);
const badge = el("span", { class: "badge", hidden: true });
const gateway = el("strong", { id: "gateway" }, "Gatepost");
const who = el("p", { class: "who" });
const leaveButton = el("button", { type: "button", id: "sign-out", class: "plain", hidden: true }, t("sign-out"));
const links = new Map();
let started = false;
let lostAt = 0;
let title = "";

function frame() {
  const places = find("places");
  places.setAttribute("aria-label", t("places"));
  for (const [name, path] of PLACES) {
    links.set(name, el("a", { href: `#${path}`, "data-place": name }, t(`place.${name}`), name === "overview" ? badge : null));
  }
  places.append(
    el("div", { class: "brand" }, el("img", { src: "/static/icon.svg", alt: "", width: 28, height: 28 }), gateway),
    el("div", { class: "links" }, ...links.values()),
    el("div", { class: "foot" }, who, leaveButton),
  );
  const skip = find("skip");
  text(skip, t("skip"));
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    find("main").focus();
  });
}

// What a view opened: its place is marked, and whoever does not see hears its heading.
function opened(path, again) {
  const first = path.split("/")[1];
  const place = WITHIN[first] ?? (first || "overview");
  for (const [name, one] of links) {
    if (name === place) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  document.body.dataset.place = place;
  const heading = document.querySelector("h1");
  title = heading?.textContent ?? "";
  told();
  if (!again) return;
  window.scrollTo(0, 0);
  if (!find("main").contains(document.activeElement)) find("main").focus({ preventScroll: true });
}

function told() {
  if (!started) return;
  const wanting = needsPerson();
  const id = state.status?.gateway.labels?.name || state.status?.gateway.id || "Gatepost";
  text(gateway, id);
  text(badge, wanting.length);
  show(badge, wanting.length > 0);
  badge.setAttribute("aria-label", `${t("needs-person")}: ${wanting.length}`);
  badge.setAttribute("role", "img");
  const limits = wanting.filter((one) => one.kind === "warn" && one.key.startsWith("limit")).map((one) => one.title);
  document.title = [wanting.length ? `(${wanting.length})` : "", limits[0] ?? "", [title, id].filter(Boolean).join(" – ")].filter(Boolean).join(" ");
}

state.addEventListener("status", told);
state.addEventListener("readings", told);

state.addEventListener("link", ({ detail: link }) => {
  if (link === "lost") lostAt ||= Date.now();
  else lostAt = 0;
  const banner = find("link");
  text(banner, { lost: t("link.lost.long", { time: clock(lostAt) }), polling: t("link.polling.long") }[link] ?? "");
  banner.className = link === "polling" ? "soft" : "";
  show(banner, banner.textContent !== "");
  document.body.classList.toggle("lost", link === "lost");
  document.body.dataset.link = link;
});
state.addEventListener("ended", leave);

function enter() {
  started = true;
  show(find("places"), true);
  const { csrf, kiosk, name, role } = me();
  show(leaveButton, Boolean(csrf || kiosk));
  text(who, csrf || kiosk ? t("signed-in", { name, role: t(`role.${kiosk ? "kiosk" : role}`) }) : "");
  if (kiosk && !location.hash) history.replaceState(null, "", "#/board");
  state.start();
  router.start();
}

function leave() {
  if (!started && find("main").children.length) return;
  started = false;
  router.stop();
  state.stop();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  document.title = "Gatepost";
  show(find("link"), false);
  show(find("places"), false);
  show(find("head"), false);
  document.body.classList.remove("lost");
  delete document.body.dataset.link;
  delete document.body.dataset.place;
  openSignIn(find("main"), enter);
}

leaveButton.addEventListener("click", async () => {
  await signOut().catch(() => {});
  leave();
});
signedOut.addEventListener("signed-out", () => started && leave());

async function begin() {
  try {
    if ((await whoami()) === null) leave();
    else enter();
  } catch {
    text(find("link"), t("unreachable"));
    show(find("link"), true);
    setTimeout(begin, 2000);
  }
}

frame();
begin();
