-- Every pull that changed this database, written in the transaction that changed it.
CREATE TABLE tidemark.session (
  number bigint PRIMARY KEY,
  session_id text NOT NULL,
  job text NOT NULL,
  mode text NOT NULL,
  source text NOT NULL,
  target text NOT NULL,
  source_id uuid NOT NULL,
  started_at_us bigint NOT NULL,
  finished_at_us bigint NOT NULL
);
