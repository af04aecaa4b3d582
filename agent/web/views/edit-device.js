// Settings of a device.

import { ask, at, get } from "../core/api.js";
import { el, say } from "../core/dom.js";
import { translated } from "../core/help.js";
import { known, t } from "../core/i18n.js";
import { go, link } from "../core/router.js";
import { state } from "../core/state.js";
import { DeviceForm } from "../forms/device-form.js";
import { makeForm } from "../forms/form.js";
import { anchor, failed, heading } from "../core/parts.js";

export function open(main, id) {
  const back = link("devices", id);
  const title = (label) => heading({ title: t("device.settings", { label }), crumbs: [[t("place.devices"), "#/devices"], [id, back]] });
  title(id);
  const wait = el("p", { class: "soft" }, t("loading"));
  main.append(wait);
  let over = false;
  load();

  async function load() {
    try {
      const [device, { drivers, titles = {} }] = await Promise.all([get(`devices/${at(id)}`), get("drivers")]);
      if (over) return;
      title(device.label || id);
      const form = new DeviceForm({ id, had: device.configured ?? {}, drivers: drivers.map((name) => [name, translated(titles[name])]) });
      await form.load();
      const origin = device.origin ? el("p", { class: "hint" }, `${t("about.origin")} ${known(`origin.${device.origin}`, device.origin)}`) : null;
      wait.replaceWith(makeForm({
        content: [form.element, origin], fields: () => form.fields, verb: t("save"), id: "device-form", after: [anchor(t("cancel"), back, { class: "button plain" })],
        send: async () => {
          const { settings } = form.take();
          await ask("PUT", `devices/${at(id)}`, { body: settings, match: device.etag });
          say(t("saved", { label: settings.label || id }));
          await state.refresh();
          go(back);
        },
      }));
    } catch (error) {
      wait.textContent = error.status === 404 ? t("device.missing") : failed(error);
    }
  }
  return { close: () => (over = true) };
}
