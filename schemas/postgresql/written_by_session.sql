-- What a session writes is not logged. The setting alone would let anybody write unseen, so who logged in is
-- asked too; and what a foreign key or somebody's trigger does because a session wrote is one level deeper
-- and logged. The first condition is false, and the others are not looked at, for every application.
(pg_catalog.current_setting('tidemark.applying', true) OPERATOR(pg_catalog.=) 'on') IS TRUE
  AND pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.=) 1
  AND pg_catalog.has_schema_privilege(session_user, 'tidemark', 'USAGE')
