CREATE TRIGGER tidemark_{{id}}_delete AFTER DELETE ON {{table}} REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION tidemark.capture_{{id}}_delete();
