SELECT id, target, source, command, digest, state, recorded, finished, floating, topic, correlation, response, answered
FROM ledger WHERE (:target IS NULL OR target = :target) AND (:before IS NULL OR recorded < :before)
ORDER BY recorded DESC LIMIT :limit;
