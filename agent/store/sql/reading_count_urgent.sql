SELECT count(*) FROM reading WHERE bits & 1 AND seq >= ? AND seq < ?
