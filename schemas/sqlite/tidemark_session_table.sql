-- What a pull did to one table.
CREATE TABLE tidemark_session_table (
  session_number INTEGER NOT NULL,
  name TEXT NOT NULL,
  received INTEGER NOT NULL,
  inserted INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  adopted INTEGER NOT NULL,
  conflicts INTEGER NOT NULL,
  quarantined INTEGER NOT NULL,
  PRIMARY KEY (session_number, name)
) WITHOUT ROWID;
