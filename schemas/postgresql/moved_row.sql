-- What only a partitioned table has: a mark that rows may move, and the rows that do.
  IF TG_WHEN OPERATOR(pg_catalog.=) 'BEFORE' AND TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
    PERFORM pg_catalog.set_config('tidemark.moving_{{id}}', 'on', true);
    RETURN NULL;
  ELSIF TG_LEVEL OPERATOR(pg_catalog.=) 'ROW' AND TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}} FROM (SELECT NEW.*) AS r;
    RETURN NULL;
  ELSIF TG_LEVEL OPERATOR(pg_catalog.=) 'ROW' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}} FROM (SELECT OLD.*) AS r;
    RETURN NULL;
  END IF;
