SELECT r.seq, r.series, r.wall, r.mono, r.bits, r.crc, r.body
FROM reading r JOIN series s ON s.id = r.series JOIN boot b ON b.id = s.boot
WHERE r.seq < :before
  AND NOT r.bits & 4
  AND (:device IS NULL OR s.device = :device)
  AND (:metric IS NULL OR json_extract(s.common, '$.metric_type') = :metric)
  AND (:since IS NULL OR iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)) >= :since)
  AND (:until IS NULL OR iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)) < :until)
ORDER BY r.seq DESC
LIMIT :limit
