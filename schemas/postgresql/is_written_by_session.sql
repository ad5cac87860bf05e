pg_catalog.current_setting('tidemark.applying', true) IS NOT NULL AND tidemark.written_by_session()
