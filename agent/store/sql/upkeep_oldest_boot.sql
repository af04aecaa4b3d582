SELECT boot FROM series WHERE id = (SELECT series FROM reading ORDER BY seq LIMIT 1)
