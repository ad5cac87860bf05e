-- Runs of schedules that were done, one row for each job and peer: the time of the schedule up to which they were. So a
-- daemon that takes a job over from another one knows what that one left undone. The names are those of the configuration.
CREATE TABLE tidemark.run (
  job text NOT NULL,
  peer text NOT NULL,
  due_us bigint NOT NULL,
  PRIMARY KEY (job, peer)
);
