-- The peers of each table: when something was last noted of one, and the shape that the table had here when the
-- rows of both were last known to be alike in every column.
CREATE TABLE tidemark.peer (
  table_id bigint NOT NULL,
  peer uuid NOT NULL,
  met_at_us bigint NOT NULL,
  shape text NOT NULL,
  PRIMARY KEY (table_id, peer)
);
