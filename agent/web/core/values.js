// Newest values of one device, with the short past that a small curve shows.

const BESIDE = new Set(["id", "schema", "gateway_id", "device_id", "patient_id", "metric_type", "units", "timestamp", "device_timestamp", "clock",
  "urgent", "replayed", "quality", "flags", "samples", "rate_hz", "scale", "offset", "unit", "channel", "lost_samples", "sequence_number", "user_id"]);
const POINTS = 120;
const CURVES = 4; // values of a device whose past is kept
const STEP = 1000; // milliseconds: a curve takes the newest value in so much time

export const valuesOf = (reading) => Object.entries(reading).filter(([name, value]) => !BESIDE.has(name) && typeof value !== "object");

export class DeviceValues {
  latest = new Map(); // name -> {value, unit, metric, time, reason, since: when it went beyond its limit, sure: one before it was not, missed: readings since}
  past = new Map(); // name -> [[time, value], ...]
  limits = {}; // name -> {min, max}
  last = null; // the newest reading

  constructor(id) {
    this.id = id;
  }

  take(reading, old = false) {
    if (this.last && old && this.last.timestamp > reading.timestamp) return;
    this.last = reading;
    if (reading.samples) return;
    const time = Date.parse(reading.timestamp);
    const found = new Set();
    for (const [name, value] of valuesOf(reading)) {
      found.add(name);
      const before = this.latest.get(name);
      const wasOut = before && this.beyond(name, before.value); // its limits may have come after it
      const since = !this.beyond(name, value) ? null : wasOut ? (before.since ?? before.time) : time;
      const sure = since !== null && (wasOut ? Boolean(before.sure) : Boolean(before));
      this.latest.set(name, { value, unit: reading.units?.[name], metric: reading.metric_type, time, reason: "", since, sure, missed: 0 });
      if (typeof value === "number") this.#add(name, time, value);
    }
    for (const [name, kept] of this.latest) if (kept.metric === reading.metric_type && !found.has(name)) kept.missed += 1;
    const reasons = [...(reading.flags ?? [])];
    if (!reasons.length && (!reading.quality || reading.quality === "good")) return;
    // A reading with a fault that leaves a value out says that there is none now.
    for (const [name, kept] of this.latest) {
      if (kept.metric === reading.metric_type && !found.has(name)) Object.assign(kept, { value: null, time, reason: reasons[0] ?? reading.quality, since: null });
    }
  }

  // What an older past says, where it reaches further back.
  follow(older) {
    for (const [name, points] of older.past) {
      const mine = this.past.get(name) ?? [];
      const first = mine[0]?.[0] ?? Infinity;
      if (this.past.has(name) || this.past.size < CURVES) this.past.set(name, [...points.filter(([time]) => time < first), ...mine].slice(-POINTS));
    }
    for (const [name, kept] of older.latest) {
      const mine = this.latest.get(name);
      if (!mine) this.latest.set(name, kept);
      else if (!mine.since || mine.sure) continue;
      else if (kept.since) Object.assign(mine, { since: Math.min(mine.since, kept.since), sure: kept.sure });
      else mine.sure = kept.time < mine.since;
    }
    this.last ??= older.last;
  }

  // Which of its limits a value is beyond: ["below", 90], or null.
  beyond(name, value) {
    const { min, max } = this.limits[name] ?? {};
    if (typeof value !== "number") return null;
    if (typeof min === "number" && value < min) return ["below", min];
    return typeof max === "number" && value > max ? ["above", max] : null;
  }

  #add(name, time, value) {
    let points = this.past.get(name);
    if (!points) {
      if (this.past.size >= CURVES) return;
      this.past.set(name, (points = []));
    }
    const last = points.at(-1);
    if (last && time < last[0]) return;
    if (last && time - last[0] < STEP) last[1] = value;
    else points.push([time, value]);
    if (points.length > POINTS) points.shift();
  }
}
