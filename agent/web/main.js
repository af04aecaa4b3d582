// The page: who is here, the state of the gateway every few seconds, and what happens in between.

import { get, may, me, signedOut, signIn, signOut, whoami } from "./api.js";
import { BrokerCard, editBroker } from "./brokers.js";
import { DeviceCard, editDevice } from "./devices.js";
import { find, keep, pairs, show, span, text } from "./dom.js";
import { Live } from "./live.js";
import { findings, Panels } from "./panels.js";

const AGAIN = 5000; // milliseconds
const FINDINGS = 30000;
const SOON = 300;

const brokers = new Map();
const devices = new Map();
const live = new Live();
let timer = 0;
let hasty = 0;
let asked = 0; // findings
let started = false;
let asking = null;

function head(status) {
  const { id, organization, labels } = status.gateway;
  text(find("gateway"), id);
  document.title = `${id} – Gatepost`;
  const connected = status.brokers.filter((broker) => broker.state === "connected").length;
  const online = status.devices.filter((device) => device.status === "online").length;
  pairs(find("facts"), [
    ["Organization", organization],
    ["Labels", Object.entries(labels ?? {}).map(([name, value]) => `${name}: ${value}`).join(", ")],
    ["Brokers", `${connected} of ${status.brokers.length} connected`],
    ["Devices", `${online} of ${status.devices.length} online`],
    ["Up for", span(status.uptime)],
    ["Clock", status.clock.synchronised ? "synchronised" : "not synchronised"],
    ["Log", status.store.state],
    ["Signed in", me()?.csrf ? `${me().name} (${me().role})` : ""],
  ]);
}

// One question at a time; who asks meanwhile waits for the next answer.
async function refresh() {
  if (asking) {
    await asking.catch(() => {});
    if (asking) return asking.catch(() => {});
  }
  asking = look();
  try {
    await asking;
  } finally {
    asking = null;
  }
  return undefined;
}

async function look() {
  clearTimeout(timer);
  try {
    const status = await get("status");
    if (!started) return;
    head(status);
    keep(find("brokers"), brokers, status.brokers, (broker) => broker.name, (broker) => new BrokerCard(broker, refresh));
    const known = new Set(devices.keys());
    keep(find("devices"), devices, status.devices, (device) => device.id, (device) => new DeviceCard(device, refresh));
    show(find("no-brokers"), status.brokers.length === 0);
    show(find("no-devices"), status.devices.length === 0);
    for (const [id, card] of devices) if (!known.has(id)) card.load();
    if (Date.now() - asked > FINDINGS) {
      asked = Date.now();
      await findings();
    }
  } catch (error) {
    if (error.status === 401) return;
  }
  clearTimeout(timer);
  if (started) timer = setTimeout(refresh, AGAIN);
}

function soon() {
  hasty ||= setTimeout(() => {
    hasty = 0;
    if (started) refresh();
  }, SOON);
}

live.addEventListener("news", ({ detail: { event, data } }) => {
  if (event === "device.data.received") devices.get(data.device_id)?.take(data);
  else if (event !== "hello" && event !== "pong") {
    if (event !== "broker.status") asked = 0;
    soon();
  }
});

live.addEventListener("state", async ({ detail: state }) => {
  const banner = find("link");
  const words = {
    lost: "The link to the gateway is lost. What stands here may be old; trying again.",
    polling: "Live updates do not get through; asking every few seconds instead.",
    live: "",
  }[state];
  text(banner, words);
  banner.className = state === "polling" ? "soft" : "";
  show(banner, words !== "");
  document.body.classList.toggle("lost", state === "lost");
  document.body.dataset.link = state;
  if (state !== "lost" && started) {
    // After a restart of the agent the session is over.
    const who = await whoami().catch(() => undefined);
    if (who === null) leave();
    else soon();
  }
});

function enter() {
  started = true;
  show(find("login"), false);
  show(find("content"), true);
  show(find("sign-out"), Boolean(me()?.csrf));
  show(find("add-broker"), may("admin"));
  show(find("add-device"), may("admin"));
  asked = 0;
  refresh();
  live.start();
}

function leave() {
  started = false;
  live.stop();
  clearTimeout(timer);
  for (const card of devices.values()) card.end();
  brokers.clear();
  devices.clear();
  find("brokers").replaceChildren();
  find("devices").replaceChildren();
  for (const body of document.querySelectorAll("details .body")) body.replaceChildren();
  for (const details of document.querySelectorAll("details")) details.open = false;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  pairs(find("facts"), []);
  text(find("gateway"), "Gatepost");
  document.title = "Gatepost";
  show(find("link"), false);
  document.body.classList.remove("lost");
  show(find("content"), false);
  show(find("sign-out"), false);
  show(find("login"), true);
  find("token").focus();
}

find("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = find("token");
  const complaint = find("login-error");
  text(complaint, "");
  try {
    await signIn(field.value.trim());
    field.value = "";
    enter();
  } catch (error) {
    text(complaint, error.words ?? "the gateway cannot be reached");
    field.focus();
  }
});

find("sign-out").addEventListener("click", async () => {
  await signOut().catch(() => {});
  leave();
});
find("add-broker").addEventListener("click", () => editBroker(null, refresh));
find("add-device").addEventListener("click", () => editDevice(null, refresh));
signedOut.addEventListener("signed-out", () => started && leave());
new Panels(() => [...devices.keys()]);

async function begin() {
  try {
    if ((await whoami()) === null) leave();
    else enter();
  } catch {
    text(find("link"), "The gateway cannot be reached; trying again.");
    show(find("link"), true);
    setTimeout(begin, 2000);
  }
}

begin();
