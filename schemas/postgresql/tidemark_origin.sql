-- Every origin that ever wrote a row which this database has seen. Row versions name it by its number.
CREATE TABLE tidemark.origin (
  id integer PRIMARY KEY,
  origin uuid NOT NULL UNIQUE,
  node_id uuid,
  node_name text
);
