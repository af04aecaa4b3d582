UPDATE gap SET event = ? WHERE id = ?
