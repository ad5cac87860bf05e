-- The same for a row that is about to be updated.
CREATE TRIGGER tidemark_{{id}}_update_candidates BEFORE UPDATE ON {{table}}{{condition}} BEGIN
{{statements}}END;
