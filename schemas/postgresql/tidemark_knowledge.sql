-- What this node has seen of each table: for every origin the highest sequence.
CREATE TABLE tidemark.knowledge (
  table_id bigint NOT NULL,
  origin integer NOT NULL,
  sequence bigint NOT NULL,
  PRIMARY KEY (table_id, origin)
);
