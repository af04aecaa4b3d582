SELECT seq, series, wall, mono, bits, crc, body FROM reading WHERE seq >= ? AND seq < ? AND NOT bits & 1 ORDER BY seq LIMIT ?
