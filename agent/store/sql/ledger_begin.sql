-- One row changed: the command may be executed. None: its id is known. A floating id is free again after :window.
INSERT INTO ledger (id, target, source, command, digest, state, recorded, keep_until, floating, topic, correlation, answered)
VALUES (:id, :target, :source, :command, :digest, 'executing', :recorded, :keep_until, :floating, :topic, :correlation, :answered)
ON CONFLICT (id) DO UPDATE SET
    source = excluded.source, command = excluded.command, digest = excluded.digest, state = excluded.state,
    recorded = excluded.recorded, keep_until = excluded.keep_until, topic = excluded.topic,
    correlation = excluded.correlation, answered = excluded.answered, finished = NULL, response = NULL
WHERE ledger.floating = 1 AND excluded.floating = 1 AND ledger.state NOT IN ('executing', 'accepted')
  AND :window >= 0 AND abs(excluded.recorded - ledger.recorded) > :window;
