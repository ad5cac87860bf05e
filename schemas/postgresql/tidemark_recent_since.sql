-- Where the list of recent versions of a table begins: it has every version that is not covered by this.
CREATE TABLE tidemark.recent_since (
  table_id bigint NOT NULL,
  origin integer NOT NULL,
  sequence bigint NOT NULL,
  PRIMARY KEY (table_id, origin)
);
