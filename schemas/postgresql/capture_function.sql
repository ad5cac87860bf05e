-- Logs the keys that a statement touched. It runs with the rights of its owner, because applications may
-- not touch the control tables, and therefore finds nothing through a search_path of somebody else. An
-- update logs old keys only where they are not among the new ones.
CREATE FUNCTION tidemark.capture_{{id}}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp AS $tidemark$
DECLARE
  stamp CONSTANT bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint * 4;
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, stamp + 1 FROM new_rows{{alias}};
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, stamp FROM new_rows{{alias}};
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, stamp FROM old_rows{{alias}}
      EXCEPT SELECT {{keys}}, stamp FROM new_rows{{alias}};
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, stamp + 2 FROM old_rows{{alias}};
  ELSE
    EXECUTE format('INSERT INTO tidemark.log_{{id}} SELECT {{truncated_keys}}, %s FROM ONLY %s', stamp + 2, TG_RELID::regclass);
  END IF;
  RETURN NULL;
END
$tidemark$;
