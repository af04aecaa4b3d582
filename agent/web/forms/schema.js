// Fields for a JSON Schema of an object: typed where the schema says what it is, lines where it is a list or a map of plain
// values, and JSON only for what is nested deeper.

import { t } from "../core/i18n.js";
import { Field } from "./field.js";

const SIMPLE = new Set(["string", "number", "integer", "boolean"]);

// `values` are those that are set, `prefix` stands before the names of the fields.
export function fieldsOf(schema, values = {}, prefix = "") {
  const defs = schema.$defs ?? {};
  const open = (part) => {
    const referred = part?.$ref ? { ...defs[part.$ref.split("/").pop()], ...part } : (part ?? {});
    const inner = referred.anyOf?.filter((one) => open(one).type !== "null");
    return inner?.length === 1 ? { ...open(inner[0]), ...referred, anyOf: undefined } : referred;
  };
  const top = open(schema);
  return Object.entries(top.properties ?? {}).map(([name, given]) => {
    const part = open(given);
    const needed = (top.required ?? []).includes(name);
    const plain = part.default !== undefined && part.default !== null && part.default !== "" && typeof part.default !== "object";
    const hint = [part.description, plain && part.type !== "boolean" ? t("otherwise", { value: part.default }) : ""].filter(Boolean).join("; ");
    const made = kindOf(part, open);
    const value = name in values ? values[name] : undefined;
    const label = name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
    const field = new Field(prefix + name, { ...made, label, needed, hint, value });
    field.key = name;
    field.secret = value === "***";
    return field;
  });
}

function kindOf(part, open) {
  const choices = (part.anyOf ?? []).map(open).filter((one) => one.type !== "null");
  if (part.enum) return { kind: "select", choices: part.enum };
  if (part.type === "boolean") return { kind: "select", choices: [[true, t("yes")], [false, t("no")]] };
  if (choices.length > 1) {
    if (choices.every((one) => one.enum)) return { kind: "select", choices: [...new Set(choices.flatMap((one) => one.enum))] };
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
