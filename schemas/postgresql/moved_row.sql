-- What only a partitioned table has: a mark that rows may move, and the rows that do.
  IF TG_WHEN = 'BEFORE' AND TG_OP = 'UPDATE' THEN
    PERFORM set_config('tidemark.moving_{{id}}', 'on', true);
    RETURN NULL;
  ELSIF TG_LEVEL = 'ROW' AND TG_OP = 'INSERT' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, capture.stamp FROM (SELECT NEW.*) AS r;
    RETURN NULL;
  ELSIF TG_LEVEL = 'ROW' THEN
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, capture.stamp FROM (SELECT OLD.*) AS r;
    RETURN NULL;
  END IF;
