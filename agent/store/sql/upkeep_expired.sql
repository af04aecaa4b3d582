-- In [lo, hi): the highest seq whose time is known to be before the cutoff; everything below it is as old.
-- A row of this boot is judged by boot time, which no clock step can move.
SELECT max(r.seq)
FROM reading r JOIN series s ON s.id = r.series JOIN boot b ON b.id = s.boot
WHERE r.seq >= :lo AND r.seq < :hi
  AND iif(b.id = :boot, r.mono < :mono, iif(r.bits & 2, r.wall, r.mono + b.shift) < :wall)
