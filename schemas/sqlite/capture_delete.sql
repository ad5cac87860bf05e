-- Logs the key of a deleted row.
CREATE TRIGGER tidemark_{{id}}_delete AFTER DELETE ON {{table}} BEGIN
  INSERT INTO tidemark_log_{{id}} VALUES ({{old_key}}, {{stamp}});
END;
