-- The tables under capture. The number names their control tables and triggers.
CREATE TABLE tidemark_table (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  shape TEXT NOT NULL,
  baseline BLOB NOT NULL,
  clock_floor_us INTEGER NOT NULL,
  mirrored_sequence INTEGER NOT NULL,
  purged_at_us INTEGER NOT NULL DEFAULT 0
);
