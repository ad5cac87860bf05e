-- By this a session finds what its peer does not know without looking at all versions.
CREATE INDEX version_{{id}}_sequence ON tidemark.version_{{id}} (origin, sequence);
