-- Rows that this database could not hold, with the reason: tried again in every session. `key` and `row` are
-- JSON with the type of every value; the version is NULL where the row is from before activation. Where the
-- types take the row and something else does not, the row is passed on to other nodes; `row` is empty for a delete
-- that waits. Where the row in the table only was locked, it had the version that is named.
CREATE TABLE tidemark.quarantine (
  table_id bigint NOT NULL,
  key text NOT NULL,
  row text NOT NULL,
  changed_at_us bigint,
  origin uuid,
  sequence bigint,
  inserted boolean,
  reason text NOT NULL,
  source text NOT NULL,
  session_id text NOT NULL,
  since_us bigint NOT NULL,
  fits_types boolean NOT NULL,
  locked boolean NOT NULL,
  met_origin uuid,
  met_sequence bigint,
  PRIMARY KEY (table_id, key)
);
