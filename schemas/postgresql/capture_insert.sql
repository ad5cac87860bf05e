CREATE TRIGGER tidemark_{{id}}_insert AFTER INSERT ON {{table}} REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION tidemark.capture_{{id}}_insert();
