-- Fires for rows whose key was changed by the statement, or by a trigger of the application before it. Where there is no
-- such trigger, only statements that name a column of the key are looked at, which spares all others a fifth of what
-- capture costs them; should one be made later, active_tables() tells.
CREATE TRIGGER tidemark_{{id}}_move AFTER UPDATE {{of_key}}ON {{table}}
  FOR EACH ROW WHEN ({{key_moved}}) EXECUTE FUNCTION tidemark.capture_{{id}}();
