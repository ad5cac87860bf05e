-- Logs the keys of one kind of statement, as capture_{{id}}() would, but with no word more than that takes: each further
-- expression of a function is prepared anew in every transaction of an application.
CREATE FUNCTION tidemark.capture_{{id}}_{{operation}}() RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY DEFINER
  AS {{quote}}
BEGIN
{{skip_session}}  INSERT INTO tidemark.log_{{id}} SELECT {{keys}}{{inserted}} FROM {{rows}}{{alias}};
  RETURN NULL;
END
{{quote}};
