-- True but for what a session writes. The setting alone would let anybody write unseen, so the role is
-- asked too. What a foreign key or somebody's trigger does because a session wrote is captured.
CASE WHEN pg_catalog.current_setting('tidemark.applying', true) = 'on'
  THEN pg_catalog.pg_trigger_depth() > 0 OR NOT pg_catalog.has_schema_privilege('tidemark', 'USAGE')
  ELSE true END
