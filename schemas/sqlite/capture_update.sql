-- Logs the key of an updated row; if the update moved the row to another key, the old one too, by one
-- statement because that is cheaper than two. It names no columns: an update of the rowid by one of its
-- other names would not count as one.
CREATE TRIGGER tidemark_{{id}}_update AFTER UPDATE ON {{table}} BEGIN
  INSERT INTO tidemark_log_{{id}} SELECT {{new_key}}, {{stamp}}
    UNION ALL SELECT {{old_key}}, {{stamp}} WHERE {{key_moved}};
END;
