-- Whether the records about the log are more than are kept.
SELECT
  (SELECT max(id) FROM gap) - (SELECT min(id) FROM gap) >= ?,
  (SELECT max(id) FROM dead_letter) - (SELECT min(id) FROM dead_letter) >= ?
