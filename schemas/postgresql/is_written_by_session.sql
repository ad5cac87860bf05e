pg_catalog.current_setting('tidemark.applying', true) IS NOT NULL AND tidemark.capture_{{id}}_by_session()
