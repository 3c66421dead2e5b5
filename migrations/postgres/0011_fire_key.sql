-- Fires come in the order of time, so with their instant first the key grows at its end.
DROP INDEX tj_runs_fire;
CREATE UNIQUE INDEX tj_runs_fire ON tj_runs (fire_ms, job_id, clock_epoch) WHERE fire_ms IS NOT NULL;
