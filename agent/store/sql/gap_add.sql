INSERT INTO gap (time, reason, device, brokers, count, urgent, first_seq, last_seq, since, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
