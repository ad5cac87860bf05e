-- Key ranges: the numbers from which a node draws the keys of its new rows. This node's own and, where this is the
-- first node of the job, those that it gave to others. A node keeps its ranges for ever; the highest is in use.
CREATE TABLE tidemark.key_range (
  table_id bigint NOT NULL,
  node uuid NOT NULL,
  low bigint NOT NULL,
  high bigint NOT NULL,
  PRIMARY KEY (table_id, low)
);
