// Stored values of a device between two times, summed up by the gateway: a month costs as much as an hour.

import { at, get } from "./api.js";

const EACH = 500; // readings that are drawn one by one, with their own times
const PAGE = 1000;

const iso = (time) => new Date(time).toISOString();

// {points: [{time, n, min, max, mean}], step: milliseconds of a point or 0, code: unit, units: those that there are, since: from
// when on, if the older part is left out}; times in milliseconds.
export async function history(device, { name, metric, from, to, code }) {
  const asked = { since: iso(from), until: iso(to), ...(metric ? { metric } : {}) };
  const path = `devices/${at(device)}/data?`;
  const { series, resolution, complete, since } = await get(path + new URLSearchParams({ ...asked, resolution: "auto", values: name }));
  const newest = (one) => one.points.at(-1)?.[0] ?? 0;
  series.sort((one, other) => newest(other) - newest(one));
  // One unit a curve: the one that is asked for, else that of the newest value.
  const chosen = series.find((one) => one.unit === code) ?? series[0] ?? { points: [] };
  const step = resolution * 1000;
  const found = { points: chosen.points.map(([start, n, min, max, mean]) => ({ time: start * 1000 + step / 2, n, min, max, mean })), step, code: chosen.unit, units: [...new Set(series.map((one) => one.unit))], since: complete ? null : since };
  if (found.points.reduce((sum, { n }) => sum + n, 0) > EACH) return found;
  const { readings, cursor } = await get(path + new URLSearchParams({ ...asked, limit: PAGE }));
  if (cursor) return found;
  const fits = (reading) => typeof reading[name] === "number" && (reading.units?.[name] ?? null) === (chosen.unit ?? null) && (reading.channel ?? null) === (chosen.channel ?? null);
  const each = ({ timestamp, [name]: value }) => ({ time: Date.parse(timestamp), n: 1, min: value, max: value, mean: value });
  return { ...found, points: readings.filter(fits).map(each).reverse().sort((one, other) => one.time - other.time), step: 0 };
}
