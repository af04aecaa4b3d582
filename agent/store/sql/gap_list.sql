SELECT id, time, reason, device, brokers, count, urgent, first_seq, last_seq, since, until, event FROM gap ORDER BY id DESC LIMIT ?
