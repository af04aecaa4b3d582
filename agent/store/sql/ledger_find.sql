SELECT id, target, source, command, digest, state, recorded, finished, floating, topic, correlation, response, answered
FROM ledger WHERE id = :id;
