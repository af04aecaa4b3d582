SELECT s.device, count(*), sum(r.bits & 1), min(r.seq), max(r.seq),
  min(iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall))),
  max(iif(r.bits & 2, r.wall, coalesce(r.mono + b.shift, r.wall)))
FROM reading r LEFT JOIN series s ON s.id = r.series LEFT JOIN boot b ON b.id = s.boot
WHERE r.seq >= :lo AND r.seq < :hi AND NOT r.bits & 1
GROUP BY s.device
