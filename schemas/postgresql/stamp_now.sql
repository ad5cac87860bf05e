-- The time in a stamp, without the kind of the change.
(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8
  OPERATOR(pg_catalog.*) 4
