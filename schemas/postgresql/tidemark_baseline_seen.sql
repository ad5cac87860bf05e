-- The baselines that this node has seen of each table, its own included.
CREATE TABLE tidemark.baseline_seen (
  table_id bigint NOT NULL,
  baseline uuid NOT NULL,
  PRIMARY KEY (table_id, baseline)
);
