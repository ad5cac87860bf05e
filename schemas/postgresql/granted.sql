-- What activation granted to the role of the sessions, to be taken back by deactivation. Made with the first grant.
CREATE TABLE tidemark.granted (
  grant_order integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  privilege text NOT NULL,
  grantee text NOT NULL
)
