-- Every statement of the store, by its name. `sql(name)` of database.py gives the text up to the next name.

-- name: meta_drop --
DELETE FROM meta WHERE key = ?;

-- name: meta_get --
SELECT value FROM meta WHERE key = ?;

-- name: meta_put --
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: boot_prune --
DELETE FROM boot WHERE id <> ? AND id < ? AND id NOT IN (SELECT boot FROM series);

-- name: boot_put --
INSERT INTO boot (id, name, shift) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, shift = coalesce(excluded.shift, shift);

-- name: boot_top --
SELECT max(coalesce((SELECT max(id) FROM boot), 0), coalesce((SELECT max(boot) FROM series), 0));

-- name: boots --
SELECT id, name, shift FROM boot;

-- name: start_clear --
DELETE FROM start;

-- name: start_put --
INSERT OR REPLACE INTO start (first, epoch, crc) VALUES (?, ?, ?);

-- name: start_prune --
-- Starts of which no reading and no dead letter is left, but for the last of them: its epoch goes on to the next start.
DELETE FROM start WHERE first < (SELECT max(first) FROM start WHERE first <= coalesce(
  min((SELECT min(seq) FROM reading), coalesce((SELECT min(seq) FROM dead_letter), 1 << 62)), 0));

-- name: starts --
SELECT first, epoch, crc FROM start ORDER BY first;

-- name: series_add --
INSERT OR REPLACE INTO series (id, boot, device, patient, common, crc) VALUES (?, ?, ?, ?, ?, ?);

-- name: series_all --
SELECT id, boot, device, patient, common, crc FROM series;

-- name: series_keep --
INSERT OR IGNORE INTO series (id, boot, device, patient, common, crc) VALUES (?, ?, ?, ?, ?, ?);

-- name: series_load --
SELECT id, boot, device, patient, common, crc FROM series WHERE boot = ?;

-- name: series_prune --
DELETE FROM series WHERE id IN (SELECT value FROM json_each(?));

-- name: series_some --
SELECT id, boot, device, patient, common, crc FROM series WHERE id IN (SELECT value FROM json_each(?));

-- name: series_top --
SELECT coalesce(max(id), 0) FROM series;

-- name: series_unused --
-- Series of earlier boots that no row belongs to any more.
SELECT id FROM series WHERE boot <> ? AND id NOT IN (SELECT series FROM reading);

-- name: series_wanted --
-- CASE: what is no JSON (a damaged row) must not fail the query.
SELECT id FROM series
WHERE (:device IS NULL OR device = :device)
  AND (:metric IS NULL OR CASE WHEN json_valid(common) THEN json_extract(common, '$.metric_type') END = :metric);

-- name: quick_check --
PRAGMA quick_check(1);

-- name: reading_count --
SELECT count(*) FILTER (WHERE NOT bits & 1), min(seq), max(seq) FROM reading WHERE seq >= ? AND seq < ?;

-- name: reading_count_all --
SELECT count(*), max(seq) FROM reading WHERE seq >= ? AND seq < ?;

-- name: reading_count_urgent --
SELECT count(*), min(seq), max(seq) FROM reading WHERE bits & 1 AND seq >= ? AND seq < ?;

-- name: reading_first --
SELECT min(seq) FROM reading WHERE seq >= :lo AND seq < :hi;

-- name: reading_history --
SELECT r.seq, r.series, r.wall, r.mono, r.bits, r.crc, r.body
FROM reading r LEFT JOIN series s ON s.id = r.series LEFT JOIN boot b ON b.id = s.boot
WHERE r.seq >= :lo AND r.seq < :hi
  AND (r.bits & 4) IS NOT 4
  AND (:series IS NULL OR r.series IN (SELECT value FROM json_each(:series)))
  AND (:since IS NULL OR iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)) >= :since)
  AND (:until IS NULL OR iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)) < :until)
ORDER BY r.seq DESC
LIMIT :limit;

-- name: reading_insert --
INSERT INTO reading (seq, series, wall, mono, bits, crc, body) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: reading_last --
SELECT max(seq) FROM reading WHERE seq >= :lo AND seq < :hi;

-- name: reading_last_urgent --
SELECT max(seq) FROM reading WHERE bits & 1 AND seq >= :lo AND seq < :hi;

-- name: reading_one --
SELECT seq, series, wall, mono, bits, crc, body FROM reading WHERE seq = :lo;

-- name: reading_onward --
SELECT r.seq, r.series, r.wall, r.mono, r.bits, r.crc, r.body
FROM reading r LEFT JOIN series s ON s.id = r.series LEFT JOIN boot b ON b.id = s.boot
WHERE r.seq >= :lo AND r.seq < :hi
  AND (r.bits & 4) IS NOT 4
  AND (:series IS NULL OR r.series IN (SELECT value FROM json_each(:series)))
  AND (:since IS NULL OR iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)) >= :since)
  AND (:until IS NULL OR iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)) < :until)
ORDER BY r.seq
LIMIT :limit;

-- name: reading_order --
-- How many rows of [:lo, :hi) have no lower number than the next; the least, the greatest; the greatest from the end.
SELECT count(*) FILTER (WHERE seq >= following), min(seq), max(seq), (SELECT max(seq) FROM reading WHERE seq < :hi)
FROM (SELECT seq, lead(seq) OVER (ORDER BY seq) AS following FROM reading WHERE seq >= :lo AND seq < :hi);

-- name: reading_page --
-- No damaged row is passed over: in a page with zeros in it columns are NULL, and what looks urgent may not be.
SELECT seq, series, wall, mono, bits, crc, body FROM reading r
WHERE seq >= :lo AND seq < :hi AND ((bits & 1) IS NOT 1
  OR NOT EXISTS (SELECT 1 FROM reading u INDEXED BY reading_urgent WHERE u.bits & 1 AND u.seq = r.seq))
ORDER BY seq LIMIT :limit;

-- name: reading_page_last --
SELECT seq FROM reading WHERE seq >= :lo AND seq < :hi AND (bits & 1) IS NOT 1 ORDER BY seq DESC LIMIT :limit;

-- name: reading_page_urgent --
SELECT seq, series, wall, mono, bits, crc, body FROM reading
WHERE bits & 1 AND seq >= :lo AND seq < :hi ORDER BY seq LIMIT :limit;

-- name: zone --
-- What is in [?, ?), by series and whether the clock was in step, with what rectifies the time of the others.
SELECT z.*, b.shift
FROM (
  SELECT series, bits & 2 AS low, min(wall), max(wall), min(mono), max(mono), min(seq), max(seq)
  FROM reading WHERE seq >= ? AND seq < ? GROUP BY series, bits & 2
) z LEFT JOIN series s ON s.id = z.series LEFT JOIN boot b ON b.id = s.boot;

-- name: summary_span --
SELECT min(zone), max(zone) FROM summary_zone;

-- name: summary_put --
INSERT OR REPLACE INTO summary (zone, series, name, bucket, count, least, most, total, last, newest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: summary_zone_put --
INSERT OR REPLACE INTO summary_zone (zone, step, first, last, boot) VALUES (?, ?, ?, ?, ?);

-- name: summary_unsure --
SELECT boot, min(zone) FROM summary_zone WHERE boot IS NOT NULL GROUP BY boot;

-- name: summary_drop --
DELETE FROM summary WHERE zone >= ? AND zone < ?;

-- name: summary_zone_drop --
DELETE FROM summary_zone WHERE zone >= ? AND zone < ?;

-- name: summary_drop_old --
DELETE FROM summary WHERE zone = ? AND bucket < ?;

-- name: summary_zones --
-- The zones that may hold something of [since, until).
SELECT zone, step FROM summary_zone WHERE last >= :since AND first < :until ORDER BY zone;

-- name: summary_rows --
-- How many readings of these series are in [since, until), about: the most of any value.
SELECT coalesce(max(rows), 0) FROM (
  SELECT sum(count) AS rows FROM summary
  WHERE zone >= :lo AND zone < :hi AND bucket >= :since AND bucket < :until
    AND series IN (SELECT value FROM json_each(:series))
  GROUP BY name
);

-- name: summary_buckets --
SELECT series, name, bucket / :step * :step, sum(count), min(least), max(most), sum(total)
FROM summary
WHERE zone >= :lo AND zone < :hi AND bucket >= :since AND bucket < :until
  AND series IN (SELECT value FROM json_each(:series))
  AND (:names IS NULL OR name IN (SELECT value FROM json_each(:names)))
GROUP BY 1, 2, 3;

-- name: summary_newest --
-- The last of each bucket: SQLite takes `newest` from the row with the greatest `last`.
SELECT series, name, bucket / :step * :step, newest, max(last)
FROM summary
WHERE zone >= :lo AND zone < :hi AND bucket >= :since AND bucket < :until
  AND series IN (SELECT value FROM json_each(:series))
  AND (:names IS NULL OR name IN (SELECT value FROM json_each(:names)))
GROUP BY 1, 2, 3;

-- name: owed_add --
INSERT INTO owed (broker, urgent, lo, hi, crc) VALUES (?, ?, ?, ?, ?);

-- name: owed_clear --
DELETE FROM owed WHERE broker = ? AND urgent = ?;

-- name: owed_load --
SELECT broker, urgent, lo, hi, crc FROM owed ORDER BY broker, urgent, lo;

-- name: gap_add --
INSERT INTO gap (time, reason, device, brokers, count, urgent, first_seq, last_seq, since, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: gap_list --
-- Text as it lies on the disk: a flipped bit in one of them hides no other.
SELECT
  id, time, CAST(reason AS BLOB), CAST(device AS BLOB), CAST(brokers AS BLOB),
  count, urgent, first_seq, last_seq, since, until, event
FROM gap ORDER BY id DESC LIMIT ?;

-- name: gap_prune --
DELETE FROM gap WHERE event IS NOT NULL AND id <= (SELECT max(id) FROM gap) - ?;

-- name: gap_told --
UPDATE gap SET event = ? WHERE id = ?;

-- name: gap_untold --
SELECT id, time, reason, device, brokers, count, urgent, first_seq, last_seq, since, until FROM gap WHERE event IS NULL AND id > ? ORDER BY id LIMIT 100;

-- name: dead_letter_add --
INSERT OR REPLACE INTO dead_letter (time, broker, seq, code, reason) VALUES (?, ?, ?, ?, ?);

-- name: dead_letter_list --
SELECT id, time, CAST(broker AS BLOB), seq, code, CAST(reason AS BLOB)
FROM dead_letter WHERE :broker IS NULL OR broker = :broker ORDER BY id DESC LIMIT :limit;

-- name: dead_letter_prune --
DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?;

-- name: state_drop --
DELETE FROM state WHERE key = ?;

-- name: state_get --
SELECT value FROM state WHERE key = ?;

-- name: state_like --
SELECT substr(key, :skip + 1), value FROM state WHERE substr(key, 1, :skip) = :prefix;

-- name: state_put --
INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: retention_delete --
DELETE FROM reading WHERE seq >= :lo AND seq < :hi AND NOT bits & 1;

-- name: retention_delete_urgent --
DELETE FROM reading WHERE bits & 1 AND seq >= :lo AND seq < :hi;

-- name: retention_dropped --
SELECT seq FROM reading WHERE seq >= :lo AND seq < :hi AND NOT bits & 1 ORDER BY seq;

-- name: retention_dropped_urgent --
SELECT seq FROM reading WHERE bits & 1 AND seq >= :lo AND seq < :hi ORDER BY seq;

-- name: retention_edge --
-- The last of the next :limit rows of [lo, hi), of both tracks: a look of bounded length.
SELECT max(seq) FROM (SELECT seq FROM reading WHERE seq >= :lo AND seq < :hi ORDER BY seq LIMIT :limit);

-- name: retention_edge_urgent --
SELECT max(seq) FROM (SELECT seq FROM reading WHERE bits & 1 AND seq >= :lo AND seq < :hi ORDER BY seq LIMIT :limit);

-- name: retention_expired --
-- Of the next :limit rows of [:lo, :hi): the last one; the last one known to be from before the cutoff, everything below
-- which is as old; how many are known to be younger.
-- A row of this boot is judged by boot time, which no clock step can move; :wall is NULL while the clock is not in step.
SELECT max(seq), max(CASE WHEN old THEN seq END), sum(NOT old)
FROM (
  SELECT r.seq, iif(s.boot = :boot, r.mono < :mono, iif(r.bits & 2, r.wall, r.mono + b.shift) < :wall) AS old
  FROM (SELECT seq, series, wall, mono, bits FROM reading WHERE seq >= :lo AND seq < :hi ORDER BY seq LIMIT :limit) r
  LEFT JOIN series s ON s.id = r.series LEFT JOIN boot b ON b.id = s.boot
);

-- name: retention_oldest_boot --
SELECT boot, EXISTS (SELECT 1 FROM series o WHERE o.boot < s.boot)
FROM series s WHERE id = (SELECT series FROM reading ORDER BY seq LIMIT 1);

-- name: retention_surplus --
-- Whether the records about the log are more than are kept.
SELECT
  (SELECT max(id) FROM gap) - (SELECT min(id) FROM gap) >= ?,
  (SELECT max(id) FROM dead_letter) - (SELECT min(id) FROM dead_letter) >= ?;

-- name: retention_victims --
SELECT s.device, count(*), sum(r.bits & 1), min(r.seq), max(r.seq),
  min(iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall))),
  max(iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)))
FROM reading r LEFT JOIN series s ON s.id = r.series LEFT JOIN boot b ON b.id = s.boot
WHERE r.seq >= :lo AND r.seq < :hi AND NOT r.bits & 1
GROUP BY s.device;

-- name: retention_victims_urgent --
SELECT s.device, count(*), sum(r.bits & 1), min(r.seq), max(r.seq),
  min(iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall))),
  max(iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)))
FROM reading r LEFT JOIN series s ON s.id = r.series LEFT JOIN boot b ON b.id = s.boot
WHERE r.bits & 1 AND r.seq >= :lo AND r.seq < :hi
GROUP BY s.device;

-- name: ledger_answered --
-- The state belongs to it: the answer `accepted` may be acknowledged after the command has ended.
UPDATE ledger SET answered = 1 WHERE id = :id AND state = :state;

-- name: ledger_begin --
-- One row changed: the command may be executed. None: its id is known. A floating id is free again after :window.
INSERT INTO ledger (id, target, source, command, digest, state, recorded, keep_until, floating, topic, correlation, answered)
VALUES (:id, :target, :source, :command, :digest, 'executing', :recorded, :keep_until, :floating, :topic, :correlation, :answered)
ON CONFLICT (id) DO UPDATE SET
    source = excluded.source, command = excluded.command, digest = excluded.digest, state = excluded.state,
    recorded = excluded.recorded, keep_until = excluded.keep_until, topic = excluded.topic,
    correlation = excluded.correlation, answered = excluded.answered, finished = NULL, response = NULL
WHERE ledger.floating = 1 AND excluded.floating = 1 AND ledger.state NOT IN ('executing', 'accepted')
  AND :window >= 0 AND abs(excluded.recorded - ledger.recorded) > :window;

-- name: ledger_date --
-- Rows of a time when the clock was not synchronised are kept from the moment it is.
UPDATE ledger SET keep_until = :keep_until WHERE keep_until = 0;

-- name: ledger_find --
SELECT id, target, source, command, digest, state, recorded, finished, floating, topic, correlation, response, answered
FROM ledger WHERE id = :id;

-- name: ledger_finish --
UPDATE ledger SET state = :state, finished = :finished, response = :response, answered = :answered
WHERE id = :id AND state IN ('executing', 'accepted');

-- name: ledger_history --
SELECT id, target, source, command, digest, state, recorded, finished, floating, topic, correlation, response, answered
FROM ledger WHERE (:target IS NULL OR target = :target) AND (:before IS NULL OR recorded < :before)
ORDER BY recorded DESC LIMIT :limit;

-- name: ledger_interrupt --
-- At start: whatever an earlier process left unfinished.
UPDATE ledger SET state = 'outcome-unknown', finished = :finished, response = NULL,
    answered = CASE WHEN source LIKE 'mqtt:%' OR source LIKE 'broadcast:%' THEN 0 ELSE 1 END
WHERE state IN ('executing', 'accepted');

-- name: ledger_prune --
-- The newest one stays: the mark beside the database names its time, and without it commands would seem lost.
DELETE FROM ledger WHERE keep_until > 0 AND keep_until < :now AND state NOT IN ('executing', 'accepted')
    AND recorded < (SELECT max(recorded) FROM ledger);

-- name: ledger_top --
SELECT max(recorded) FROM ledger;

-- name: ledger_trim --
DELETE FROM ledger WHERE state NOT IN ('executing', 'accepted')
  AND id IN (SELECT id FROM ledger ORDER BY recorded DESC LIMIT -1 OFFSET :rows);

-- name: ledger_unanswered --
SELECT id, target, source, command, digest, state, recorded, finished, floating, topic, correlation, response, answered
FROM ledger WHERE source = :source AND answered = 0 AND state <> 'executing' AND recorded > :after
ORDER BY recorded LIMIT :limit;
