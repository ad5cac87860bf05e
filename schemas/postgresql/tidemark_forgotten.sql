-- The highest sequence of every origin among the tombstones that were purged.
CREATE TABLE tidemark.forgotten (
  table_id bigint NOT NULL,
  origin integer NOT NULL,
  sequence bigint NOT NULL,
  PRIMARY KEY (table_id, origin)
);
