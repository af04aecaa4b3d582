-- One row for each command that was let through to execution; times are microseconds since 1970 (UTC).
CREATE TABLE IF NOT EXISTS ledger (
    id          TEXT    PRIMARY KEY NOT NULL,
    target      TEXT    NOT NULL,               -- device id; '' = the gateway itself
    source      TEXT    NOT NULL,
    command     TEXT    NOT NULL,
    digest      BLOB    NOT NULL,               -- of the parameters, without subject references
    state       TEXT    NOT NULL,               -- executing, accepted, done, failed, rejected, outcome-unknown
    recorded    INTEGER NOT NULL,
    finished    INTEGER,
    keep_until  INTEGER NOT NULL,               -- 0 = recorded while the clock was not synchronised, not dated yet
    floating    INTEGER NOT NULL,               -- 1 = the id is a digest of a payload that had no time of its own
    topic       TEXT,
    correlation BLOB,
    response    BLOB,
    answered    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_recorded ON ledger (recorded);
CREATE INDEX IF NOT EXISTS ledger_unanswered ON ledger (source, recorded) WHERE answered = 0;
CREATE INDEX IF NOT EXISTS ledger_unfinished ON ledger (state) WHERE state IN ('executing', 'accepted');
