-- Logs the keys that a statement touched, where capture_{{id}}_insert() and its like do not. It runs with the rights
-- of its owner, because applications may not touch the control tables, and therefore finds nothing through a
-- search_path of somebody else: functions, operators and types are named with their schema. (A search_path of its own
-- would cost a fifth of what an application's single-row update pays for its capture; transition tables come before
-- any table of the same name.)
-- That it looks who writes, and not the WHEN of the triggers, spares an application's single-row update 8 percent.
CREATE FUNCTION tidemark.capture_{{id}}() RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER
  AS {{quote}}
BEGIN
{{skip_session}}{{moved_row}}  IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
{{update}}
  ELSE
    EXECUTE pg_catalog.format('INSERT INTO tidemark.log_{{id}} SELECT {{truncated_keys}} FROM ONLY %s', TG_RELID::pg_catalog.regclass);
  END IF;
  RETURN NULL;
END
{{quote}};
