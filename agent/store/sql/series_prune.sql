DELETE FROM series WHERE boot < ?
