-- Every origin that ever wrote a row which this database has seen. Row versions name it by its number.
CREATE TABLE tidemark_origin (
  id INTEGER PRIMARY KEY,
  origin BLOB NOT NULL UNIQUE,
  node_id BLOB,
  node_name TEXT
);
