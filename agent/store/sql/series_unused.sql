-- Series of earlier boots that no row belongs to any more.
SELECT id FROM series WHERE boot <> ? AND id NOT IN (SELECT series FROM reading)
