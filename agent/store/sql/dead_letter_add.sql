INSERT OR REPLACE INTO dead_letter (time, broker, seq, code, reason) VALUES (?, ?, ?, ?, ?)
