SELECT max(coalesce((SELECT max(id) FROM boot), 0), coalesce((SELECT max(boot) FROM series), 0))
