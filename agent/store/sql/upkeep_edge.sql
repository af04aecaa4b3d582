SELECT max(seq) FROM (SELECT seq FROM reading WHERE seq >= :lo AND seq < :hi AND (bits & 1) = :urgent ORDER BY seq LIMIT :limit)
