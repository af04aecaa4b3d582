-- Of the next :limit rows from :lo on: the last one; the last one known to be from before the cutoff, everything below
-- which is as old; how many are known to be younger.
-- A row of this boot is judged by boot time, which no clock step can move; :wall is NULL while the clock is not in step.
SELECT max(seq), max(CASE WHEN old THEN seq END), sum(NOT old)
FROM (
  SELECT r.seq, iif(s.boot = :boot, r.mono < :mono, iif(r.bits & 2, r.wall, r.mono + b.shift) < :wall) AS old
  FROM (SELECT seq, series, wall, mono, bits FROM reading WHERE seq >= :lo ORDER BY seq LIMIT :limit) r
  LEFT JOIN series s ON s.id = r.series LEFT JOIN boot b ON b.id = s.boot
)
