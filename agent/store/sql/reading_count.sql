SELECT count(*) FROM reading WHERE seq >= ? AND seq < ? AND NOT bits & 1
