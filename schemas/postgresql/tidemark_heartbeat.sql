-- Heartbeats, one row for each job and peer: the one that this node sends to the peer, by this node's clock, and the
-- last one of the peer that arrived, by the peer's. Written only where a job has a heartbeat; the names are those of the
-- configuration.
CREATE TABLE tidemark.heartbeat (
  job text NOT NULL,
  peer text NOT NULL,
  sent_us bigint NOT NULL,
  heard_us bigint NOT NULL,
  arrived_us bigint NOT NULL,
  PRIMARY KEY (job, peer)
);
