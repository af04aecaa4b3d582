SELECT seq, series, wall, mono, bits, crc, body FROM reading WHERE seq = ?
