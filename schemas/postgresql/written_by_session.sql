-- Whether what fires a trigger was written by a session, which is not logged. The setting alone would let anybody write
-- unseen, so who logged in is asked too; and what somebody's trigger does because a session wrote is one level deeper,
-- and logged. Triggers ask only where the setting is known at all, which it is to no application: each function that a
-- trigger names costs every transaction of the application, called or not. A function for each table, because the rights
-- of its owner are all that a capture function has.
CREATE FUNCTION tidemark.capture_{{id}}_by_session() RETURNS pg_catalog.bool STABLE LANGUAGE plpgsql
  AS $tidemark$
BEGIN
  RETURN pg_catalog.current_setting('tidemark.applying', true) OPERATOR(pg_catalog.=) 'on'
    AND pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.=) 1
    AND pg_catalog.has_schema_privilege(session_user, 'tidemark', 'USAGE');
END
$tidemark$;
