-- Logs the keys of one kind of statement, as capture_{{id}}() would, but with all in one statement: each further
-- expression of a function is prepared anew in every transaction of an application. Why the conditions are as they
-- are is said there.
CREATE FUNCTION tidemark.capture_{{id}}_{{operation}}() RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER
  AS {{quote}}
BEGIN
  INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())
      OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 OPERATOR(pg_catalog.*) 4 OPERATOR(pg_catalog.+) {{kind}}
    FROM {{rows}}{{alias}}
    WHERE (pg_catalog.current_setting('tidemark.applying', true) OPERATOR(pg_catalog.=) 'on') IS NOT TRUE
      OR pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.<>) 1
      OR NOT pg_catalog.has_schema_privilege(session_user, 'tidemark', 'USAGE');
  RETURN NULL;
END
{{quote}};
