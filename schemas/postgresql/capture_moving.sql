-- For a partitioned table, and for partitions that have some: says that rows may now move between partitions. It
-- stays said until the transaction ends, because statements may be nested.
CREATE TRIGGER tidemark_{{id}}_moving BEFORE UPDATE ON {{table}}
  FOR EACH STATEMENT WHEN (pg_catalog.current_setting('tidemark.moving_{{id}}', true) IS DISTINCT FROM 'on')
  EXECUTE FUNCTION tidemark.capture_{{id}}();
