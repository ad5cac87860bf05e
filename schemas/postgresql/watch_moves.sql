-- Looks for changed keys in every update from now on. Sessions call it when the application got a trigger that may change
-- keys, and need not own the table for it. It waits for all transactions that write the table. When capture is made anew it
-- stays, with what was granted on it.
CREATE OR REPLACE FUNCTION tidemark.capture_{{id}}_watch_moves() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS {{quote}}
BEGIN
  ALTER TABLE {{table}} ENABLE TRIGGER tidemark_{{id}}_any_move;
END
{{quote}};
