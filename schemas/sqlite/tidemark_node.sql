-- Who this database is; one row. `format` is the version of the control tables.
CREATE TABLE tidemark_node (
  format INTEGER NOT NULL,
  node_id BLOB NOT NULL,
  incarnation INTEGER NOT NULL,
  origin BLOB NOT NULL
);
