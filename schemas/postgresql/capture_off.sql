-- Is off, and stays so. Who switches all triggers of the table off and on again, to load rows without them, switches it
-- on: then capture is not what it was, and what was loaded meanwhile is found.
CREATE TRIGGER tidemark_{{id}}_off AFTER TRUNCATE ON {{table}}
  FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION tidemark.capture_{{id}}();
ALTER TABLE {{table}} DISABLE TRIGGER tidemark_{{id}}_off;
