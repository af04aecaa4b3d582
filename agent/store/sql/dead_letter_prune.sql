DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?
