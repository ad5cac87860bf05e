-- It names no columns: a trigger with transition tables cannot.
CREATE TRIGGER tidemark_{{id}}_update AFTER UPDATE ON {{table}} REFERENCING {{old_rows}}NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION tidemark.capture_{{id}}{{statement}}();
