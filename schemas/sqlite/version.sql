-- Row versions of one table, by key: one record for every key that ever changed.
CREATE TABLE tidemark_version_{{id}} ({{key_definitions}}, changed_at_us INTEGER, origin INTEGER, sequence INTEGER, flags INTEGER{{primary_key}}){{options}};
