// Values as people write them: numbers, units, names, times, in the person's language and region.

import { has, locale, t } from "./i18n.js";

const UNITS = {
  "mm[Hg]": "mmHg", Cel: "°C", "[degF]": "°F", "{raw}": "", 1: "", "ug/m3": "µg/m³", "/m3": "/m³", "W/m2": "W/m²", "kg/m2": "kg/m²", "m/s2": "m/s²", uV: "µV", "uS/cm": "µS/cm",
  Ohm: "Ω", "[ppm]": "ppm", "[ppb]": "ppb", "dB[SPL]": "dB", "[lb_av]": "lb", "[oz_av]": "oz", "[in_i]": "in", "[in_i'Hg]": "inHg", "[kn_i]": "kn", "[mi_i]/h": "mph", "[g]": "g", "m[g]": "mg", deg: "°",
};
const plain = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat(locale, { maximumSignificantDigits: 5 });
const wholeNumber = (value) => (Math.abs(value) >= 1e15 ? String(value) : plain.format(value));
const formats = new Map();

function times(name, options) {
  if (!formats.has(name)) formats.set(name, new Intl.DateTimeFormat(locale, options));
  return formats.get(name);
}

// What the gateway says in words for a terminal, as words for a page.
export const said = (...parts) => parts.filter(Boolean).join("; ").replaceAll("`", "");

export const unit = (code) => (code in UNITS ? UNITS[code] : (code ?? ""));

export function number(value) {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  return Number.isInteger(value) ? wholeNumber(value) : exact.format(value);
}

// 97 %, 5.8 mmol/L, 71 /min
export const quantity = (value, code) => [number(value), unit(code)].filter(Boolean).join("\u00a0");

const spaced = (name) => String(name).replaceAll("_", " ").replaceAll("-", " ");
const capital = (words) => words.charAt(0).toLocaleUpperCase(locale) + words.slice(1);

// The name of a value: from the catalogue, or the device's own, readable.
export const nameOf = (value) => (has(`value.${value}`) ? t(`value.${value}`) : capital(spaced(value)));
export const words = spaced;
export const flag = (name) => (has(`flag.${name}`) ? t(`flag.${name}`) : spaced(name));

export const moment = (time) => (time ? times("moment", { dateStyle: "medium", timeStyle: "medium" }).format(new Date(time)) : "");
export const clock = (time) => times("clock", { timeStyle: "medium" }).format(new Date(time));
export const hour = (time) => times("hour", { timeStyle: "short" }).format(new Date(time));
export const day = (time) => times("day", { day: "numeric", month: "short" }).format(new Date(time));

const today = (time) => new Date(time).toDateString() === new Date().toDateString();

// To the second; of today without the date.
export const stamp = (time) => (today(time) ? clock(time) : moment(time));

// The time of day of today, else with the date.
export function when(time) {
  if (!time) return "";
  return today(time) ? hour(time) : `${day(time)}, ${hour(time)}`;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return [`${Math.floor(whole / 3600)} h`, whole % 3600 >= 60 ? `${Math.floor((whole % 3600) / 60)} min` : ""].filter(Boolean).join(" ");
  return [`${Math.floor(whole / 86400)} d`, whole % 86400 >= 3600 ? `${Math.floor((whole % 86400) / 3600)} h` : ""].filter(Boolean).join(" ");
}

export function age(time) {
  const seconds = (Date.now() - new Date(time)) / 1000;
  if (seconds < 5) return t("now");
  return seconds < 43200 ? t("ago", { span: span(seconds) }) : when(time);
}

export function size(octets) {
  if (!Number.isFinite(octets)) return "";
  const step = Math.min(3, Math.max(0, Math.floor(Math.log10(Math.max(1, octets)) / 3)));
  return `${exact.format(Number((octets / 1000 ** step).toPrecision(3)))} ${["B", "kB", "MB", "GB"][step]}`;
}
