INSERT INTO reading (seq, series, wall, mono, bits, crc, body) VALUES (?, ?, ?, ?, ?, ?, ?)
