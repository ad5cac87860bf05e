-- Conflicts with both sides. `row` images are JSON with the type of every value; they are NULL where the
-- side is a delete, and origin and changed_at are NULL where the row is from before activation.
CREATE TABLE tidemark_conflict (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  session_id TEXT NOT NULL,
  job TEXT NOT NULL,
  found_at_us INTEGER NOT NULL,
  table_name TEXT NOT NULL,
  columns TEXT NOT NULL,
  key_columns TEXT NOT NULL,
  key TEXT NOT NULL,
  type TEXT NOT NULL,
  policy TEXT NOT NULL,
  status TEXT NOT NULL,
  winner_node TEXT NOT NULL,
  winner_origin BLOB,
  winner_sequence INTEGER,
  winner_changed_at_us INTEGER,
  winner_inserted INTEGER,
  winner_row TEXT,
  loser_node TEXT NOT NULL,
  loser_origin BLOB,
  loser_sequence INTEGER,
  loser_changed_at_us INTEGER,
  loser_inserted INTEGER,
  loser_row TEXT
);
