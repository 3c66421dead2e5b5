-- Fires come in the order of time, so with their instant first the key grows at its end.
ALTER TABLE tj_runs
    DROP INDEX tj_runs_fire,
    ADD UNIQUE KEY tj_runs_fire (fire_ms, job_id, clock_epoch);
