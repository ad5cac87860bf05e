-- A row that keeps its key is logged by its statement, the old key of one that moves by a trigger of its own.
    IF TG_LEVEL OPERATOR(pg_catalog.=) 'ROW' THEN
      INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, capture.stamp FROM (SELECT OLD.*){{alias}};
    ELSE
      INSERT INTO tidemark.log_{{id}} SELECT {{keys}}, capture.stamp FROM new_rows{{alias}};
    END IF;
