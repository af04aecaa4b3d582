// What the log says: findings, gaps, dead letters, commands. A panel asks while it is open.

import { at, get } from "./api.js";
import { el, find, moment, show, words } from "./dom.js";

const LIMIT = 50;
const AGAIN = 10000;

function table(head, rows, none) {
  if (!rows.length) return el("p", { class: "empty" }, none);
  const cells = (row) => el("tr", {}, ...row.map((cell) => el("td", {}, String(cell ?? ""))));
  return el("table", {}, el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, ...rows.map(cells)));
}

async function gaps() {
  const { gaps: found } = await get(`gaps?limit=${LIMIT}`);
  const rows = found.map((gap) => [moment(gap.time), gap.device_id ?? "all", gap.count, words(gap.reason), (gap.brokers ?? []).join(", "), gap.since ? `${moment(gap.since)} to ${moment(gap.until)}` : ""]);
  return table(["When", "Device", "Readings", "Why", "Brokers", "Taken"], rows, "Nothing was lost.");
}

async function deadLetters() {
  const { dead_letters: found } = await get(`dead-letters?limit=${LIMIT}`);
  const rows = found.map((letter) => [moment(letter.time), letter.broker, letter.reading, letter.code ?? "", letter.reason]);
  return table(["When", "Broker", "Reading", "Code", "Why"], rows, "No broker refused anything.");
}

async function commands(devices) {
  const found = [];
  for (const device of devices()) found.push(...(await get(`devices/${at(device)}/commands?limit=20`)).commands);
  found.sort((one, other) => (one.recorded < other.recorded ? 1 : -1));
  const why = (entry) => entry.response?.error?.message ?? "";
  const rows = found.slice(0, LIMIT).map((entry) => [moment(entry.recorded), entry.device_id, entry.command, entry.status, entry.source, why(entry)]);
  return table(["When", "Device", "Command", "Status", "From", "Why"], rows, "No command was let through yet.");
}

export class Panels {
  #open = new Map();

  constructor(devices) {
    for (const [id, load] of [["gaps", gaps], ["dead-letters", deadLetters], ["commands", () => commands(devices)]]) {
      const details = find(id);
      details.addEventListener("toggle", () => {
        clearTimeout(this.#open.get(id));
        this.#open.delete(id);
        if (details.open) this.#load(details, load);
      });
    }
  }

  async #load(details, load) {
    const body = details.querySelector(".body");
    try {
      body.replaceChildren(await load());
    } catch (error) {
      if (!body.children.length) body.replaceChildren(el("p", { class: "error" }, error.message));
    }
    if (details.open) this.#open.set(details.id, setTimeout(() => this.#load(details, load), AGAIN));
  }
}

export async function findings() {
  const { findings: found } = await get("doctor");
  const wanted = found.filter((finding) => finding.severity !== "note");
  const list = find("findings").querySelector("ul");
  const told = JSON.stringify(wanted);
  show(find("findings"), wanted.length > 0);
  if (list.dataset.told === told) return;
  list.dataset.told = told;
  list.replaceChildren(
    ...wanted.map((finding) =>
      el(
        "li",
        { class: finding.severity },
        el("strong", {}, `${words(finding.severity)}: ${finding.about}`),
        ` ${finding.what}`,
        finding.why ? el("div", { class: "note" }, finding.why) : null,
        finding.do ? el("div", { class: "note" }, `What to do: ${finding.do}`) : null,
      ),
    ),
  );
}
