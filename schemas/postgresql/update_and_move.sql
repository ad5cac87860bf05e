-- For rows that may move between partitions: no row trigger sees such a move as an update, so the old keys
-- are those that are not among the new ones.
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}} FROM new_rows{{alias}};
    INSERT INTO tidemark.log_{{id}} SELECT {{keys}} FROM old_rows{{alias}}
      EXCEPT SELECT {{keys}} FROM new_rows{{alias}};
