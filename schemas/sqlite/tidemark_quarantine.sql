-- Rows that this database could not hold, with the reason: tried again in every session. `key` and `row` are
-- JSON with the type of every value; the version is NULL where the row is from before activation. Where the
-- types take the row and something else does not, the row is passed on to other nodes; `row` is empty for a delete
-- that waits. Where the row in the table only was locked, it had the version that is named.
CREATE TABLE tidemark_quarantine (
  table_id INTEGER NOT NULL,
  key TEXT NOT NULL,
  row TEXT NOT NULL,
  changed_at_us INTEGER,
  origin BLOB,
  sequence INTEGER,
  inserted INTEGER,
  reason TEXT NOT NULL,
  source TEXT NOT NULL,
  session_id TEXT NOT NULL,
  since_us INTEGER NOT NULL,
  fits_types INTEGER NOT NULL,
  locked INTEGER NOT NULL,
  met_origin BLOB,
  met_sequence INTEGER,
  PRIMARY KEY (table_id, key)
) WITHOUT ROWID;
