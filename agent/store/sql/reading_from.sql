SELECT min(seq) FROM reading WHERE seq >= ?
