SELECT boot, EXISTS (SELECT 1 FROM series o WHERE o.boot < s.boot)
FROM series s WHERE id = (SELECT series FROM reading ORDER BY seq LIMIT 1)
