SELECT id, target, source, command, digest, state, recorded, finished, floating, topic, correlation, response, answered
FROM ledger WHERE source = :source AND answered = 0 AND state <> 'executing' AND recorded > :after
ORDER BY recorded LIMIT :limit;
