-- Logs the key of an inserted row.
CREATE TRIGGER tidemark_{{id}}_insert AFTER INSERT ON {{table}} BEGIN
  INSERT INTO tidemark_log_{{id}} VALUES ({{new_key}}, {{stamp}});
END;
