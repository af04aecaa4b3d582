CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- One row a boot of the box; shift = wall - boot time once the clock was in step, microseconds.
CREATE TABLE boot (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  shift INTEGER
);

-- What repeats from reading to reading is kept once: common is JSON with metric_type, units, quality, flags (or event);
-- crc of the row, so that a flipped bit never gives a reading to another device.
CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  boot INTEGER NOT NULL REFERENCES boot (id),
  device TEXT NOT NULL,
  patient TEXT,
  common TEXT NOT NULL,
  crc INTEGER NOT NULL
);

-- The log. wall and mono in microseconds; bits: 1 urgent, 2 clock in step, 4 event; crc of the whole row.
CREATE TABLE reading (
  seq INTEGER PRIMARY KEY,
  series INTEGER NOT NULL,
  wall INTEGER NOT NULL,
  mono INTEGER NOT NULL,
  bits INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  body BLOB NOT NULL
);

CREATE INDEX reading_urgent ON reading (seq) WHERE bits & 1;

-- What each broker still owes an acknowledgement for: half-open ranges of seq, apart for urgent and other rows.
CREATE TABLE owed (
  broker TEXT NOT NULL,
  urgent INTEGER NOT NULL,
  lo INTEGER NOT NULL,
  hi INTEGER NOT NULL,
  crc INTEGER NOT NULL,
  PRIMARY KEY (broker, urgent, lo)
) WITHOUT ROWID;

-- What was lost, when and why; event is the seq of the row that tells the brokers.
CREATE TABLE gap (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  reason TEXT NOT NULL,
  device TEXT,
  brokers TEXT,
  count INTEGER NOT NULL,
  urgent INTEGER NOT NULL DEFAULT 0,
  first_seq INTEGER,
  last_seq INTEGER,
  since INTEGER,
  until INTEGER,
  event INTEGER
);

CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  broker TEXT NOT NULL,
  seq INTEGER NOT NULL,
  code INTEGER,
  reason TEXT NOT NULL,
  UNIQUE (broker, seq)
);

CREATE TABLE state (
  key TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

-- One row for each command that was let through to execution; times are microseconds since 1970 (UTC).
CREATE TABLE ledger (
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
CREATE INDEX ledger_recorded ON ledger (recorded);
CREATE INDEX ledger_unanswered ON ledger (source, recorded) WHERE answered = 0;
CREATE INDEX ledger_unfinished ON ledger (state) WHERE state IN ('executing', 'accepted');
