CREATE TRIGGER tidemark_{{id}}_truncate BEFORE TRUNCATE ON {{table}}
  FOR EACH STATEMENT WHEN ({{by_others}}) EXECUTE FUNCTION tidemark.capture_{{id}}();
