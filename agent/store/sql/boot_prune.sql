DELETE FROM boot WHERE id <> ? AND id < ? AND id NOT IN (SELECT boot FROM series)
