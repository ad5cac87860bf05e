-- Heartbeats, one row for each job and peer: the one that this node sends to the peer, by this node's clock, and the
-- last one of the peer that arrived, by the peer's. Written only where a job has a heartbeat; the names are those of the
-- configuration.
CREATE TABLE tidemark_heartbeat (
  job TEXT NOT NULL,
  peer TEXT NOT NULL,
  sent_us INTEGER NOT NULL,
  heard_us INTEGER NOT NULL,
  arrived_us INTEGER NOT NULL,
  PRIMARY KEY (job, peer)
) WITHOUT ROWID;
