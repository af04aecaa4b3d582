// What the gateway says in English of settings, drivers, options and formats, in the person's language where it is known.
// Loaded with the first view that shows such a sentence.

import { language } from "./i18n.js";

const LANGUAGES = { de: () => import("../help/de.js") };

const { sentences = {}, names = {} } = language in LANGUAGES ? await LANGUAGES[language]() : {};

export const translated = (sentence) => sentences[sentence] ?? sentence ?? "";

// The name of an option: Discovery prefix.
export const called = (key) => names[key] ?? key.charAt(0).toUpperCase() + key.slice(1).replaceAll("_", " ");
