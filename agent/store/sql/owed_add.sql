INSERT INTO owed (broker, urgent, lo, hi, crc) VALUES (?, ?, ?, ?, ?)
