INSERT INTO owed (broker, urgent, lo, hi) VALUES (?, ?, ?, ?)
