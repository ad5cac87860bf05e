-- Logs the keys that a statement touched. It runs with the rights of its owner, because applications may
-- not touch the control tables, and therefore finds nothing through a search_path of somebody else.
-- What a session writes is not logged. The setting alone would let anybody write unseen, so who logged in is
-- asked too; and what a foreign key or somebody's trigger does because a session wrote is one level deeper
-- and logged. (The same in the WHEN of the triggers costs an application's single-row update 8 percent.)
-- The block has a name, because a column of the table may be called stamp as well.
CREATE FUNCTION tidemark.capture_{{id}}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp AS {{quote}}
<<capture>>
DECLARE
  stamp CONSTANT bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint * 4;
BEGIN
  IF current_setting('tidemark.applying', true) = 'on' AND pg_trigger_depth() = 1
      AND has_schema_privilege(session_user, 'tidemark', 'USAGE') THEN
    RETURN NULL;
  END IF;
{{moved_row}}  IF TG_OP = 'INSERT' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, capture.stamp + 1 FROM new_rows{{alias}};
  ELSIF TG_OP = 'UPDATE' THEN
{{update}}
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, capture.stamp + 2 FROM old_rows{{alias}};
  ELSE
    EXECUTE format('INSERT INTO tidemark.log_{{id}} SELECT {{truncated_keys}}, %s FROM ONLY %s', capture.stamp + 2, TG_RELID::regclass);
  END IF;
  RETURN NULL;
END
{{quote}};
