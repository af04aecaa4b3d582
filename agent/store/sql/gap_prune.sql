DELETE FROM gap WHERE event IS NOT NULL AND id <= (SELECT max(id) FROM gap) - ?
