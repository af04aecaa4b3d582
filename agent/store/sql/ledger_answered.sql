-- The state belongs to it: the answer `accepted` may be acknowledged after the command has ended.
UPDATE ledger SET answered = 1 WHERE id = :id AND state = :state;
