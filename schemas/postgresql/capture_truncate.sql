CREATE TRIGGER tidemark_{{id}}_truncate BEFORE TRUNCATE ON {{table}}
  FOR EACH STATEMENT EXECUTE FUNCTION tidemark.capture_{{id}}();
