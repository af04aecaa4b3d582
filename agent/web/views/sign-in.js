// Sign in: a token, or a login code of `gatepost token browser`. Also by an address that ends in #/sign-in/CODE.

import { signIn } from "../core/api.js";
import { el, text } from "../core/dom.js";
import { t } from "../core/i18n.js";
import { failed } from "../core/parts.js";

const BY_ADDRESS = /^#\/sign-in\/([A-Za-z0-9_.~-]+)$/;

export function openSignIn(main, enter) {
  const field = el("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, maxlength: 16384, "aria-describedby": "login-hint login-error" });
  const complaint = el("p", { id: "login-error", class: "error", role: "alert" });
  const hint = el("p", { class: "hint", id: "login-hint" }, `${t("sign-in.hint")} `, el("code", {}, "gatepost token create --role operator"), `. ${t("sign-in.or")} `, el("code", {}, "gatepost token browser"), ".");
  const form = el("form", { id: "login", class: "card", "aria-labelledby": "login-title" },
    el("p", { class: "brand" }, el("img", { src: "/static/icon.svg", alt: "", width: 28, height: 28 }), el("strong", {}, "Gatepost")), el("h1", { id: "login-title" }, t("sign-in")), el("label", { for: "token" }, t("sign-in.token")), field, hint, complaint,
    el("div", { class: "actions" }, el("button", { type: "submit" }, t("sign-in"))));
  async function tryIt(secret) {
    text(complaint, "");
    try {
      await signIn(secret);
      main.replaceChildren();
      enter();
    } catch (error) {
      text(complaint, failed(error));
      field.focus();
    }
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tryIt(field.value.trim());
  });
  main.replaceChildren(form);
  field.focus();
  const given = BY_ADDRESS.exec(location.hash);
  if (!given) return;
  history.replaceState(null, "", location.pathname); // it does not stay in the address
  tryIt(given[1]);
}
