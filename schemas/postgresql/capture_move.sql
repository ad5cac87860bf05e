-- Fires for rows whose key was changed, by the statement or by a trigger of the application before it.
CREATE TRIGGER tidemark_{{id}}_move AFTER UPDATE ON {{table}}
  FOR EACH ROW WHEN ({{key_moved}}) EXECUTE FUNCTION tidemark.capture_{{id}}();
