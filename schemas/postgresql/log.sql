-- The change log of one table: the key that was touched, with its time and kind packed into `stamp`. No
-- constraint and no index: it must never fail an application, and appending is all it does. Sessions empty
-- it, so it is vacuumed as soon as that is worth it.
CREATE TABLE tidemark.log_{{id}} ({{key_definitions}}, stamp bigint NOT NULL)
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
