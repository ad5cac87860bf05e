-- The same for a row whose hidden rowid is changed.
CREATE TRIGGER tidemark_{{id}}_update_rowid BEFORE UPDATE ON {{table}} WHEN new.{{rowid}} <> old.{{rowid}} BEGIN
  INSERT INTO tidemark_log_{{id}} SELECT {{key}}, {{stamp}} FROM {{table}} WHERE {{rowid}} = new.{{rowid}};
END;
