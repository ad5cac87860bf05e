-- Two conditions, one in the other: the server prepares an expression when it is first reached, and no application's
-- statement reaches the second.
  IF pg_catalog.current_setting('tidemark.applying', true) IS NOT NULL THEN
    IF tidemark.capture_{{id}}_by_session() THEN
      RETURN NULL;
    END IF;
  END IF;
