SELECT id, time, reason, device, brokers, count, urgent, first_seq, last_seq, since, until FROM gap WHERE event IS NULL AND id > ? ORDER BY id LIMIT 100
