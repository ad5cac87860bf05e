-- The peers of each table: when something was last noted of one, and the shape that the table had here when the
-- rows of both were last known to be alike in every column.
CREATE TABLE tidemark_peer (
  table_id INTEGER NOT NULL,
  peer BLOB NOT NULL,
  met_at_us INTEGER NOT NULL,
  shape TEXT NOT NULL,
  PRIMARY KEY (table_id, peer)
) WITHOUT ROWID;
