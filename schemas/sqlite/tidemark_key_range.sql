-- Key ranges: the numbers from which a node draws the keys of its new rows. This node's own and, where this is the
-- first node of the job, those that it gave to others. A node keeps its ranges for ever; the highest is in use.
CREATE TABLE tidemark_key_range (
  table_id INTEGER NOT NULL,
  node BLOB NOT NULL,
  low INTEGER NOT NULL,
  high INTEGER NOT NULL,
  PRIMARY KEY (table_id, low)
) WITHOUT ROWID;
