-- What is in [?, ?), by series and whether the clock was in step, with what rectifies the time of the others.
SELECT z.*, b.shift
FROM (
  SELECT series, bits & 2 AS low, min(wall), max(wall), min(mono), max(mono)
  FROM reading WHERE seq >= ? AND seq < ? GROUP BY series, bits & 2
) z LEFT JOIN series s ON s.id = z.series LEFT JOIN boot b ON b.id = s.boot
