-- The same for a row that is inserted with a hidden rowid of the application's choice. (-1 says that it
-- chose none.)
CREATE TRIGGER tidemark_{{id}}_insert_rowid BEFORE INSERT ON {{table}} WHEN new.{{rowid}} <> -1 BEGIN
  INSERT INTO tidemark_log_{{id}} SELECT {{key}}, {{stamp}} FROM {{table}} WHERE {{rowid}} = new.{{rowid}};
END;
