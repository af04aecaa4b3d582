// Stored readings of one value of a device, for a chart: what lies between two times.

import { at, get } from "./api.js";
import { bucketed } from "./chart.js";

const PAGE = 1000;
const PAGES = 20; // pages of one picture at most, where the gateway sends each reading
const POINTS = 400;

const iso = (time) => new Date(time).toISOString();

// {points, step, readings: how many, whole: false where older ones are left out, code: unit}
export async function history(device, { name, metric, from, to }, stopped) {
  const found = [];
  let cursor = null;
  let code;
  let pages = 0;
  do {
    const query = new URLSearchParams({ since: iso(from), until: iso(to), limit: PAGE, ...(metric ? { metric } : {}), ...(cursor ? { cursor } : {}) });
    const page = await get(`devices/${at(device)}/data?${query}`);
    if (stopped()) return null;
    for (const reading of page.readings) {
      if (typeof reading[name] !== "number") continue;
      code ??= reading.units?.[name];
      // One unit a curve: what came in another one is left out.
      if (reading.units?.[name] === code) found.push([Date.parse(reading.timestamp), reading[name]]);
    }
    cursor = page.cursor;
    pages += 1;
  } while (cursor !== null && pages < PAGES);
  found.sort((one, other) => one[0] - other[0]);
  return { ...bucketed(found, from, to, POINTS), readings: found.length, whole: cursor === null, code };
}
