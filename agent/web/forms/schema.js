// Fields for a JSON Schema of an object: typed where the schema says what it is, lines where it is a list or a map of plain
// values, and JSON only for what is nested deeper.

import { said } from "../core/format.js";
import { called, translated } from "../core/help.js";
import { t } from "../core/i18n.js";
import { Field } from "./field.js";

const SIMPLE = new Set(["string", "number", "integer", "boolean"]);

// Follows references, and leaves `null` out of what may be either.
function opener(defs = {}) {
  const open = (part) => {
    const referred = part?.$ref ? { ...defs[part.$ref.split("/").pop()], ...part, $ref: undefined } : (part ?? {});
    const inner = referred.anyOf?.filter((one) => open(one).type !== "null");
    if (inner?.length === 1) return { ...open(inner[0]), ...referred, anyOf: undefined };
    const types = [referred.type].flat().filter((one) => one !== "null");
    return types.length === 1 && Array.isArray(referred.type) ? { ...referred, type: types[0] } : referred;
  };
  return open;
}

// `values` are those that are set, `prefix` stands before the names of the fields.
export function fieldsOf(schema, values = {}, prefix = "") {
  const open = opener(schema.$defs);
  const top = open(schema);
  return Object.entries(top.properties ?? {}).map(([name, given]) => {
    const part = open(given);
    const needed = (top.required ?? []).includes(name);
    const plain = part.default !== undefined && part.default !== null && part.default !== "" && typeof part.default !== "object";
    const hint = [said(translated(part.description)), plain && part.type !== "boolean" ? t("otherwise", { value: part.default }) : ""].filter(Boolean).join("; ");
    const field = new Field(prefix + name, { ...kindOf(part, open), label: called(name), needed, hint, value: values[name] });
    field.key = name;
    return field;
  });
}

// The field for one key of the settings, such as ["logging", "level"].
export function fieldAt(schema, keys, options) {
  const open = opener(schema.$defs);
  const inside = (part, key) => open(part.properties?.[key] ?? (typeof part.additionalProperties === "object" ? part.additionalProperties : {}));
  return new Field(keys.join("."), { ...kindOf(keys.reduce(inside, open(schema)), open), ...options });
}

function kindOf(part, open) {
  const choices = (part.anyOf ?? []).map(open).filter((one) => one.type !== "null");
  if (part.enum) return { kind: "select", choices: part.enum.filter((one) => one !== null) };
  if (part.type === "boolean") return { kind: "select", choices: [[true, t("yes")], [false, t("no")]] };
  if (choices.length > 1) {
    if (choices.every((one) => one.enum)) return { kind: "select", choices: [...new Set(choices.flatMap((one) => one.enum))].filter((one) => one !== null) };
    if (choices.every((one) => SIMPLE.has(one.type) || one.enum || "const" in one)) return { kind: "text", loose: true };
    return { kind: "json" };
  }
  if (part.type === "integer" || part.type === "number") return { kind: part.type };
  if (part.type === "string") return { kind: "text" };
  const inner = open(part.items ?? (typeof part.additionalProperties === "object" ? part.additionalProperties : {}));
  if (part.type === "array" && SIMPLE.has(inner.type)) return { kind: "list", loose: inner.type !== "string" };
  if (part.type === "object" && !part.properties && SIMPLE.has(inner.type)) return { kind: "map", loose: inner.type !== "string" };
  return { kind: "json" };
}

// The values of fields made by `fieldsOf`, by their keys in the schema.
export const keyed = (fields, values) => Object.fromEntries(fields.filter((field) => field.name in values).map((field) => [field.key, values[field.name]]));
