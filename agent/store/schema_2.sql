-- One row a start of the agent: its readings are numbered from `first` on, and carry its random epoch in their ids.
-- crc of the row, so that damage never gives the epoch of one start to the rows of another.
CREATE TABLE start (
  first INTEGER PRIMARY KEY,
  epoch TEXT NOT NULL,
  crc INTEGER NOT NULL
);
