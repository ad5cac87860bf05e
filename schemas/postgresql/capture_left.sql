-- Fires for rows that leave a partition while rows may move, and then for others too: a MERGE shows a row that it
-- moves in no transition table of a trigger that it fires. The server makes it for all partitions.
CREATE TRIGGER tidemark_{{id}}_left AFTER DELETE ON {{table}}
  FOR EACH ROW WHEN (pg_catalog.current_setting('tidemark.moving_{{id}}', true) = 'on')
  EXECUTE FUNCTION tidemark.capture_{{id}}();
