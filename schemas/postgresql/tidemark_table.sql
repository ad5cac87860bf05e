-- The tables under capture. The number names their control tables and functions. `capture` is a digest of
-- what the server said about triggers and control tables when they were made. `recent_batch` numbers the next entries
-- of the list of recent versions, which holds about `recent_entries`.
CREATE TABLE tidemark.captured_table (
  id bigint PRIMARY KEY,
  name text NOT NULL UNIQUE,
  shape text NOT NULL,
  capture text NOT NULL,
  baseline uuid NOT NULL,
  clock_floor_us bigint NOT NULL,
  mirrored_sequence bigint NOT NULL,
  purged_at_us bigint NOT NULL DEFAULT 0,
  recent_batch bigint NOT NULL DEFAULT 1,
  recent_entries bigint NOT NULL DEFAULT 0
);
