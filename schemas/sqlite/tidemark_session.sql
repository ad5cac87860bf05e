-- Every pull that changed this database, written in the transaction that changed it.
CREATE TABLE tidemark_session (
  number INTEGER PRIMARY KEY,
  session_id TEXT NOT NULL,
  job TEXT NOT NULL,
  mode TEXT NOT NULL,
  source TEXT NOT NULL,
  target TEXT NOT NULL,
  source_id BLOB NOT NULL,
  started_at_us INTEGER NOT NULL,
  finished_at_us INTEGER NOT NULL
);
