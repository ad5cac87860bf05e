-- What a pull did to one table.
CREATE TABLE tidemark.session_table (
  session_number bigint NOT NULL,
  name text NOT NULL,
  received bigint NOT NULL,
  inserted bigint NOT NULL,
  updated bigint NOT NULL,
  deleted bigint NOT NULL,
  adopted bigint NOT NULL,
  conflicts bigint NOT NULL,
  quarantined bigint NOT NULL,
  PRIMARY KEY (session_number, name)
);
