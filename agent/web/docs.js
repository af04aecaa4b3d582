// Shows /openapi.json: routes, parameters, bodies, answers. Everything goes into the page as text, never as HTML.

const place = document.getElementById("routes");
const find = document.getElementById("find");

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A schema in short: the references in it are followed, three levels deep.
function shape(schema, all, depth = 0) {
  if (!schema || Object.keys(schema).length === 0) return "anything";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 3 ? name : shape(all[name], all, depth + 1);
  }
  if (schema.anyOf) return schema.anyOf.map((each) => shape(each, all, depth)).filter(unique).join(" or ");
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `[${shape(schema.items, all, depth + 1)}, ...]`;
  if (schema.type === "object" && schema.properties) {
    const indent = "  ".repeat(depth + 1);
    const needed = new Set(schema.required || []);
    const members = Object.entries(schema.properties).map(
      ([key, value]) => `${indent}${key}${needed.has(key) ? "" : "?"}: ${shape(value, all, depth + 1)}`,
    );
    return members.length ? `{\n${members.join("\n")}\n${"  ".repeat(depth)}}` : "{}";
  }
  if (schema.type === "object") return "{name: " + shape(schema.additionalProperties, all, depth + 1) + "}";
  return schema.format ? `${schema.type} (${schema.format})` : String(schema.type);
}

const unique = (value, index, list) => list.indexOf(value) === index;

function parameters(operation, all) {
  if (!operation.parameters.length) return [];
  const rows = operation.parameters.map((each) =>
    element(
      "tr",
      {},
      element("td", {}, element("code", {}, each.name)),
      element("td", {}, each.in + (each.required ? ", required" : "")),
      element("td", {}, [shape(each.schema, all), each.description].filter(Boolean).join("; ")),
    ),
  );
  return [element("h3", {}, "Parameters"), element("table", {}, element("tbody", {}, ...rows))];
}

function body(operation, all) {
  const content = operation.requestBody?.content["application/json"];
  return content ? [element("h3", {}, "Body"), element("pre", {}, shape(content.schema, all))] : [];
}

function answers(operation, all) {
  const found = [element("h3", {}, "Answers")];
  for (const [status, answer] of Object.entries(operation.responses)) {
    if (status >= "400") continue;
    const [media, content] = Object.entries(answer.content)[0];
    found.push(element("p", {}, `${status}, ${media}`));
    if (content.schema) found.push(element("pre", {}, shape(content.schema, all)));
  }
  return found;
}

function route(method, path, operation, all) {
  const curl = `curl -H "Authorization: Bearer $TOKEN"${method === "GET" ? "" : ` -X ${method}`} ${location.origin}${path}`;
  const inside = element("div", {}, element("p", {}, operation.description));
  const made = element(
    "details",
    {},
    element(
      "summary",
      {},
      element("span", { class: "method" }, method),
      element("span", { class: "path" }, path),
      element("span", { class: "words" }, operation.summary),
    ),
    inside,
  );
  made.addEventListener(
    "toggle",
    () => inside.append(...parameters(operation, all), ...body(operation, all), ...answers(operation, all), element("pre", {}, curl)),
    { once: true },
  );
  made.dataset.words = `${method} ${path} ${operation.summary}`.toLowerCase();
  return made;
}

function show(api) {
  const sections = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      if (!sections.has(tag)) sections.set(tag, element("section", {}, element("h2", {}, tag)));
      sections.get(tag).append(route(method.toUpperCase(), path, operation, api.components.schemas));
    }
  }
  place.replaceChildren(...sections.values());
}

find.addEventListener("input", () => {
  const words = find.value.toLowerCase();
  for (const each of place.querySelectorAll("details")) each.hidden = !each.dataset.words.includes(words);
});

try {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
  show(await answer.json());
} catch (error) {
  place.replaceChildren(element("p", { role: "alert" }, `The description could not be loaded: ${error.message}`));
}
