SELECT id, shift FROM boot WHERE name = ?
