-- At start: whatever an earlier process left unfinished.
UPDATE ledger SET state = 'outcome-unknown', finished = :finished, response = NULL,
    answered = CASE WHEN source LIKE 'mqtt:%' OR source LIKE 'broadcast:%' THEN 0 ELSE 1 END
WHERE state IN ('executing', 'accepted');
