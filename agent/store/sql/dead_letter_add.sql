INSERT INTO dead_letter (time, broker, seq, code, reason) VALUES (?, ?, ?, ?, ?) ON CONFLICT (broker, seq) DO UPDATE SET time = excluded.time, code = excluded.code, reason = excluded.reason
