SELECT count(*), min(seq) FROM reading WHERE seq >= ? AND seq < ? AND NOT bits & 1
