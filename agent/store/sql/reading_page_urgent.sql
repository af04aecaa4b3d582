SELECT seq, series, wall, mono, bits, crc, body FROM reading WHERE bits & 1 AND seq >= ? AND seq < ? ORDER BY seq LIMIT ?
