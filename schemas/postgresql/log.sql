-- The change log of one table: the key that was touched, whether an insert did it, and when. No constraint but that of
-- the time, and no index: it must never fail an application, and appending is all it does. The time is a default, because
-- what INSERT ... SELECT computes by a volatile function costs it a subquery. Sessions empty the log, so it is vacuumed
-- as soon as that is worth it; what is only added needs neither vacuum nor statistics.
CREATE TABLE tidemark.log_{{id}} ({{key_definitions}}, inserted boolean,
    touched_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp())
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2147483647);
