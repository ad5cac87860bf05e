-- Fires for rows whose key was changed. It names the columns of the key (OF) where only statements can change one, which
-- spares all that do not name them a fifth of what capture costs. Where a trigger of the application fires before rows are
-- updated, it names none, because that trigger may change a key that no statement names.
CREATE TRIGGER tidemark_{{id}}_{{name}} AFTER UPDATE {{of_key}}ON {{table}}
  FOR EACH ROW WHEN ({{key_moved}}) EXECUTE FUNCTION tidemark.capture_{{id}}();
