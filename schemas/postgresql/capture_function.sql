-- Logs the keys that a statement touched, where capture_{{id}}_insert() and its like do not. It runs with the rights of its owner, because applications may
-- not touch the control tables, and therefore finds nothing through a search_path of somebody else: functions,
-- operators and types are named with their schema. (A search_path of its own would cost a fifth of all that an
-- application's single-row update pays; transition tables come before any table of the same name.)
-- What a session writes is not logged. The setting alone would let anybody write unseen, so who logged in is
-- asked too; and what a foreign key or somebody's trigger does because a session wrote is one level deeper
-- and logged. (The same in the WHEN of the triggers costs an application's single-row update 8 percent.)
-- The block has a name, because a column of the table may be called stamp as well.
CREATE FUNCTION tidemark.capture_{{id}}() RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER
  AS {{quote}}
<<capture>>
DECLARE
  stamp CONSTANT pg_catalog.int8 := (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())
    OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 OPERATOR(pg_catalog.*) 4;
BEGIN
  IF pg_catalog.current_setting('tidemark.applying', true) OPERATOR(pg_catalog.=) 'on'
      AND pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.=) 1
      AND pg_catalog.has_schema_privilege(session_user, 'tidemark', 'USAGE') THEN
    RETURN NULL;
  END IF;
{{moved_row}}  IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
{{update}}
  ELSE
    EXECUTE pg_catalog.format('INSERT INTO tidemark.log_{{id}} SELECT {{truncated_keys}}, %s FROM ONLY %s', capture.stamp OPERATOR(pg_catalog.+) 2, TG_RELID::pg_catalog.regclass);
  END IF;
  RETURN NULL;
END
{{quote}};
