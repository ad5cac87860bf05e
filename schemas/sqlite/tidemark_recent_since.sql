-- Where the list of recent versions of a table begins: it has every version that is not covered by this.
CREATE TABLE tidemark_recent_since (
  table_id INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (table_id, origin)
) WITHOUT ROWID;
