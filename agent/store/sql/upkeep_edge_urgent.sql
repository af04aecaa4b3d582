SELECT max(seq) FROM (SELECT seq FROM reading WHERE bits & 1 AND seq >= :lo AND seq < :hi ORDER BY seq LIMIT :limit)
