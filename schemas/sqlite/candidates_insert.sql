-- Logs the keys of rows that hold a unique value of the row that is about to be inserted: if the
-- application said REPLACE, they vanish without a delete trigger. Candidates only; harvest looks whether
-- they are still there.
CREATE TRIGGER tidemark_{{id}}_insert_candidates BEFORE INSERT ON {{table}} BEGIN
{{statements}}END;
