-- The newest row versions of one table in the order they were written, so that a small session need not
-- look at all versions. Where it begins stands in tidemark_recent_since.
CREATE TABLE tidemark_recent_{{id}} (position INTEGER PRIMARY KEY, {{key_definitions}}, origin INTEGER, sequence INTEGER);
