SELECT r.seq, r.series, r.wall, r.mono, r.bits, r.crc, r.body
FROM reading r LEFT JOIN series s ON s.id = r.series LEFT JOIN boot b ON b.id = s.boot
WHERE r.seq >= :lo AND r.seq < :hi
  AND NOT r.bits & 4
  AND (:series IS NULL OR r.series IN (SELECT value FROM json_each(:series)))
  AND (:since IS NULL OR iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)) >= :since)
  AND (:until IS NULL OR iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)) < :until)
ORDER BY r.seq DESC
LIMIT :limit
