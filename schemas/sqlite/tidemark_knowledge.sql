-- What this node has seen of each table: for every origin the highest sequence.
CREATE TABLE tidemark_knowledge (
  table_id INTEGER NOT NULL,
  origin INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (table_id, origin)
) WITHOUT ROWID;
