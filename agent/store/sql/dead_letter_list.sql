SELECT id, time, broker, seq, code, reason FROM dead_letter WHERE :broker IS NULL OR broker = :broker ORDER BY id DESC LIMIT :limit
