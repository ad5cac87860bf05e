-- A row that keeps its key is logged by its statement, the old key of one that moves by a trigger of its own.
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}} FROM (SELECT OLD.*){{alias}};
