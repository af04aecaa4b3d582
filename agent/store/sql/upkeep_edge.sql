-- The last of the next :limit rows of [lo, hi), of both tracks: a look of bounded length.
SELECT max(seq) FROM (SELECT seq FROM reading WHERE seq >= :lo AND seq < :hi ORDER BY seq LIMIT :limit)
