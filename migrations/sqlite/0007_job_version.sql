-- Grows with each change of a job, so that one editor cannot overwrite another unseen.
ALTER TABLE tj_jobs ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
-- Lists go by the latest change.
CREATE INDEX tj_jobs_updated ON tj_jobs (updated_ms, id);
