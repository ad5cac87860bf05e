-- Conflicts with both sides. `row` images are JSON with the type of every value; they are NULL where the
-- side is a delete, and origin and changed_at are NULL where the row is from before activation.
CREATE TABLE tidemark.conflict (
  number bigint PRIMARY KEY,
  id text NOT NULL UNIQUE,
  session_id text NOT NULL,
  job text NOT NULL,
  found_at_us bigint NOT NULL,
  table_name text NOT NULL,
  columns text NOT NULL,
  key_columns text NOT NULL,
  key text NOT NULL,
  type text NOT NULL,
  policy text NOT NULL,
  status text NOT NULL,
  winner_node text NOT NULL,
  winner_origin uuid,
  winner_sequence bigint,
  winner_changed_at_us bigint,
  winner_inserted boolean,
  winner_row text,
  loser_node text NOT NULL,
  loser_origin uuid,
  loser_sequence bigint,
  loser_changed_at_us bigint,
  loser_inserted boolean,
  loser_row text
);
