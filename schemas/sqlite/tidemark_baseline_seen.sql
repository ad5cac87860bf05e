-- The baselines that this node has seen of each table, its own included.
CREATE TABLE tidemark_baseline_seen (
  table_id INTEGER NOT NULL,
  baseline BLOB NOT NULL,
  PRIMARY KEY (table_id, baseline)
) WITHOUT ROWID;
