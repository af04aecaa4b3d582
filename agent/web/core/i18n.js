// Words of the page: one catalogue a language. A third one is a file in lang/ and a line in LANGUAGES.

const LANGUAGES = { en: () => import("../lang/en.js"), de: () => import("../lang/de.js") };
const CHOSEN = "gatepost-language";

export const languages = Object.keys(LANGUAGES);

function preferred() {
  const chosen = localStorage.getItem(CHOSEN);
  if (chosen in LANGUAGES) return chosen;
  return navigator.languages.map((tag) => tag.slice(0, 2)).find((code) => code in LANGUAGES) ?? "en";
}

export const language = preferred();
// The region of the person, if the browser tells one of this language.
export const locale = navigator.languages.find((tag) => tag.slice(0, 2) === language) ?? language;

const catalogue = (await LANGUAGES[language]()).default;
const plural = new Intl.PluralRules(locale);

document.documentElement.lang = language;

export function choose(code) {
  localStorage.setItem(CHOSEN, code);
  location.reload();
}

export const has = (key) => key in catalogue;

// `{n}` is replaced by the value of that name; of a pair [one, other] the plural rule of `n` chooses.
export function t(key, values = {}) {
  let words = catalogue[key] ?? key;
  if (Array.isArray(words)) words = words[plural.select(Number(values.n)) === "one" ? 0 : 1];
  return words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// The words for a key that the gateway sent, or what it said itself.
export const known = (key, otherwise) => (has(key) ? t(key) : otherwise);
