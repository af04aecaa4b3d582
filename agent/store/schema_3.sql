-- Summaries of the log, so that a curve of a month reads thousands of rows and not millions: for each zone (8192 numbers)
-- one row for each series, value and bucket of time; times in seconds since 1970. They can be made from the log again.
CREATE TABLE summary (
  zone INTEGER NOT NULL,
  series INTEGER NOT NULL,
  name TEXT NOT NULL,
  bucket INTEGER NOT NULL,
  count INTEGER NOT NULL,
  least REAL NOT NULL,
  most REAL NOT NULL,
  total REAL NOT NULL,
  last INTEGER NOT NULL,
  newest REAL NOT NULL,
  PRIMARY KEY (zone, series, name, bucket)
) WITHOUT ROWID;

-- Zones that are summarised; boot = one whose clock was never in step until then: their times may still change.
CREATE TABLE summary_zone (
  zone INTEGER PRIMARY KEY,
  step INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  boot INTEGER
);
