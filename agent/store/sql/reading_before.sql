SELECT max(seq) FROM reading WHERE seq < ?
