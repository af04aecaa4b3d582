// How devices and brokers are, in a person's terms, and the list of what needs a person.

import { clock, flag, nameOf, quantity, said, span, when } from "./format.js";
import { has, known, t } from "./i18n.js";
import { link } from "./router.js";
import { state } from "./state.js";

const USUAL = new Set(["asleep", "waiting", "waiting-for-slot"]); // between two measurements: as it should be
const RANK = { store: 0, bad: 1, warn: 2 };
const OWN = new Set(["device-absent", "device-error", "device-silent", "broker-refused", "broker-unreachable", "store-failing", "store-full", "log-damaged", "settings-on-trial"]); // told from the status, at once

const LOST = "readings-lost"; // how many says more than what to do

export const labelOf = (device) => device.label || device.id || device.name;

// The sign of a device: {kind: good, idle, warn, bad; word}. Trouble is bad only.
export function signOf(device) {
  const { status, reason, condition } = device;
  if (status === "online") return device.monitoring === false ? { kind: "idle", word: t("state.stopped") } : { kind: "good", word: t("state.online") };
  if (status === "offline" && USUAL.has(reason)) return { kind: "idle", word: t(`state.${reason === "asleep" ? reason : "waiting"}`) };
  if (status === "starting" || status === "stopped") return { kind: "idle", word: t(`state.${status}`) };
  return { kind: condition === "idle" ? "idle" : "bad", word: known(`reason.${reason}`, known(`state.${status}`, status)) };
}

export function signOfBroker(broker) {
  if (broker.state === "connected") return { kind: "good", word: t("state.connected") };
  if (!broker.active) return { kind: "idle", word: t("state.disconnected") };
  return { kind: "bad", word: known(`broker.${broker.state}`, known(`state.${broker.state}`, broker.state)) };
}

// Values of devices that are beyond their limits now.
export function beyondLimits() {
  const found = [];
  for (const device of state.devices) {
    const values = state.values.get(device.id);
    if (!values || signOf(device).kind === "bad") continue;
    for (const [name, kept] of values.latest) {
      const out = values.beyond(name, kept.value);
      if (out) found.push({ device, name, kept, side: out[0], limit: out[1], since: kept.since ?? kept.time, sure: kept.sure });
    }
  }
  return found;
}

const since = (time) => (time ? t("since", { time: when(time), span: span((Date.now() - new Date(time)) / 1000) }) : "");
const sentence = (...parts) => parts.filter(Boolean).join(" · ");

// A store that stores nothing, or that misses something: nothing is more urgent here.
function storeTrouble() {
  const { state: how = "ok", loss } = state.status?.store ?? {};
  const found = [];
  const told = (key, why, id) => found.push({ key, kind: "bad", rank: RANK.store, title: t(key), detail: sentence(said(why), advice(id, state.findings.find((one) => one.id === id)?.do)), href: link("log", "gaps"), seen: key === "store.loss" });
  if (how !== "ok") told(how.startsWith("the log is full") ? "store.full" : "store.failing", how, how.startsWith("the log is full") ? "store-full" : "store-failing");
  if (loss) told("store.loss", loss, "log-damaged");
  return found;
}

function trialTrouble() {
  const { trial } = state;
  if (trial?.state !== "trying") return null;
  return { key: "trial", kind: "warn", title: t("trial.on"), detail: t("trial", { keys: trial.changed.join(", "), time: clock(trial.until) }), href: link("settings") };
}

// What to do, in the person's language where the catalogue knows it.
const advice = (id, otherwise) => known(`finding.${id}.do`, said(otherwise));

function deviceTrouble(device) {
  const sign = signOf(device);
  if (sign.kind !== "bad") return null;
  const key = `trouble.${device.reason}`;
  return {
    key: `device ${device.id}`,
    kind: "bad",
    title: has(key) ? t(key, { label: labelOf(device) }) : t("trouble.device", { label: labelOf(device), word: sign.word }),
    detail: sentence(device.room, since(device.since), has(`${key}.do`) ? t(`${key}.do`) : said(device.message, device.hint)),
    href: link("devices", device.id),
  };
}

function brokerTrouble(broker) {
  if (signOfBroker(broker).kind !== "bad" || (broker.state === "connecting" && broker.attempts < 2)) return null;
  return {
    key: `broker ${broker.name}`,
    kind: "bad",
    title: t("trouble.broker", { label: labelOf(broker) }),
    detail: sentence(since(broker.offline_since ?? broker.since), said(broker.reason, broker.hint), t("trouble.broker.kept")),
    href: link("brokers"),
  };
}

function limitTrouble({ device, name, kept, side, limit, since: began, sure }) {
  return {
    key: `limit ${device.id} ${name}`,
    kind: "warn",
    title: t(`limit.${side}`, { name: nameOf(name), value: quantity(kept.value, kept.unit), limit: quantity(limit, kept.unit) }),
    detail: sentence([labelOf(device), device.room].filter(Boolean).join(", "), t(sure ? "for" : "for-more", { span: span((Date.now() - began) / 1000) }), t("no-alarm")),
    href: link("devices", device.id),
  };
}

// What the gateway itself found. A device that says nothing of a measurement yet is as it should be.
function findingTrouble(finding, told) {
  const [kind, name] = finding.about.split(/ (.*)/s);
  const device = kind === "device" ? state.device(name) : null;
  const quiet = finding.severity === "note" || finding.id === "device-no-reading" || OWN.has(finding.id) || told.has(finding.about);
  if (quiet || (device && signOf(device).kind !== "good")) return null;
  const dead = finding.id === "device-quiet"; // a sensor that says nothing any more is as good as unplugged
  const own = `finding.${finding.id}`;
  const label = device ? labelOf(device) : kind === "broker" ? labelOf(state.brokers.find((one) => one.name === name) ?? { name }) : finding.about;
  return {
    key: `${finding.about} ${finding.id}`,
    kind: finding.severity === "problem" || dead ? "bad" : "warn",
    title: has(own) ? t(own, { label }) : said(`${label}: ${finding.what}`),
    detail: sentence(device?.room, has(`${own}.do`) && finding.id !== LOST ? "" : has(own) ? said(finding.what) : "", has(`${own}.do`) ? "" : said(finding.why), advice(finding.id, finding.do)),
    href: device ? link("devices", name) : kind === "broker" ? link("brokers") : finding.id === LOST ? link("log", "gaps") : link("settings"),
  };
}

// [{key, kind, title, detail, href, seen: it can be marked as seen}], the worst first.
export function needsPerson() {
  const found = [...storeTrouble(), trialTrouble(), ...state.devices.map(deviceTrouble), ...state.brokers.map(brokerTrouble)].filter(Boolean);
  const told = new Set([...found.map((one) => one.key), ...state.brokers.filter((broker) => signOfBroker(broker).kind !== "good").map((broker) => `broker ${broker.name}`)]);
  found.push(...state.findings.map((finding) => findingTrouble(finding, told)).filter(Boolean), ...beyondLimits().map(limitTrouble));
  const rank = (one) => one.rank ?? RANK[one.kind];
  return found.sort((one, other) => rank(one) - rank(other));
}

export const reasonWords = (reason) => (reason ? flag(reason) : "");
