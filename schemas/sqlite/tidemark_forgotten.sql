-- The highest sequence of every origin among the tombstones that were purged.
CREATE TABLE tidemark_forgotten (
  table_id INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (table_id, origin)
) WITHOUT ROWID;
