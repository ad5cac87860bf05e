-- The newest row versions of one table, as they were written, so that a session after a few changes need not
-- look at all versions. `batch` numbers the transactions. Where the list begins stands in recent_since. No index:
-- it is short, and appending is all that most sessions do.
CREATE TABLE tidemark.recent_{{id}} ({{key_definitions}}, origin integer NOT NULL, sequence bigint NOT NULL,
  batch bigint NOT NULL) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
