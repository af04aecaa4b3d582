UPDATE ledger SET state = :state, finished = :finished, response = :response, answered = :answered
WHERE id = :id AND state IN ('executing', 'accepted');
