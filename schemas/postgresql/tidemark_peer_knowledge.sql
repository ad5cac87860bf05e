-- What each peer knew of a table after the last session with it. Origin 0 only says that the peer is
-- registered.
CREATE TABLE tidemark.peer_knowledge (
  table_id bigint NOT NULL,
  peer uuid NOT NULL,
  origin integer NOT NULL,
  sequence bigint NOT NULL,
  PRIMARY KEY (table_id, peer, origin)
);
