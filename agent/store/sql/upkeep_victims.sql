SELECT s.device, count(*), sum(r.bits & 1), min(r.seq), max(r.seq), min(r.wall), max(r.wall)
FROM reading r JOIN series s ON s.id = r.series
WHERE r.seq >= :lo AND r.seq < :hi AND (r.bits & 1) = :urgent
GROUP BY s.device
