-- The change log of one table: the key that was touched, with its time and kind packed into `stamp`. No
-- constraint and no index: it must never fail an application, and appending is all it does.
CREATE TABLE tidemark_log_{{id}} ({{key_definitions}}, stamp INTEGER);
