-- Logs the keys of one kind of statement, as capture_{{id}}() would, but with all in one statement: each further
-- expression of a function is prepared anew in every transaction of an application.
CREATE FUNCTION tidemark.capture_{{id}}_{{operation}}() RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER
  AS {{quote}}
BEGIN
  INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, {{stamp_now}} OPERATOR(pg_catalog.+) {{kind}}
    FROM {{rows}}{{alias}} WHERE NOT ({{written_by_session}});
  RETURN NULL;
END
{{quote}};
