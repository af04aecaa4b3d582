DELETE FROM series WHERE id IN (SELECT value FROM json_each(?))
