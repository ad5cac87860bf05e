-- What each peer knew of a table after the last session with it. Origin 0 only says that the peer is
-- registered.
CREATE TABLE tidemark_peer_knowledge (
  table_id INTEGER NOT NULL,
  peer BLOB NOT NULL,
  origin INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (table_id, peer, origin)
) WITHOUT ROWID;
