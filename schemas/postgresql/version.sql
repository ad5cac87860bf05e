-- Row versions of one table, by key: one record for every key that ever changed. `flags`: 1 the row was
-- deleted, 2 the origin inserted it.
CREATE TABLE tidemark.version_{{id}} ({{key_definitions}}, changed_at_us bigint NOT NULL, origin integer NOT NULL,
  sequence bigint NOT NULL, flags smallint NOT NULL, PRIMARY KEY ({{key}}));
