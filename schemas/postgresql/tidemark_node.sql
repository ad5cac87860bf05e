-- Who this database is; one row. `format` is the version of the control tables. Whoever needs new sequence
-- numbers locks this table until the end of its transaction.
CREATE TABLE tidemark.node (
  format integer NOT NULL,
  node_id uuid NOT NULL,
  incarnation bigint NOT NULL,
  origin uuid NOT NULL
);
