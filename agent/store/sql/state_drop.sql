DELETE FROM state WHERE key = ?
