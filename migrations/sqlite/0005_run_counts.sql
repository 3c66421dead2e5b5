-- How many ended runs there are, by outcome: of one job (slot -1), of all (job 0, slot -1), and of all
-- by the quarter of an hour in which they were created. Written with the runs, so no list counts them.
CREATE TABLE tj_run_counts (
    job_id  INTEGER NOT NULL,
    slot    INTEGER NOT NULL, -- created_ms / 900000
    outcome TEXT    NOT NULL,
    runs    INTEGER NOT NULL,
    PRIMARY KEY (job_id, slot, outcome)
) WITHOUT ROWID;
INSERT INTO tj_run_counts SELECT 0, (id >> 21) / 900000, outcome, count(*) FROM tj_runs NOT INDEXED
    WHERE outcome NOT IN ('waiting', 'running') GROUP BY 2, 3;
INSERT INTO tj_run_counts SELECT 0, -1, outcome, sum(runs) FROM tj_run_counts GROUP BY outcome;
INSERT INTO tj_run_counts SELECT job_id, -1, outcome, count(*) FROM tj_runs NOT INDEXED
    WHERE outcome NOT IN ('waiting', 'running') GROUP BY job_id, outcome;
-- Every outcome but success is rare: each is listed without reading the rest, of all and of one job.
DROP INDEX tj_runs_failed;
CREATE INDEX tj_runs_unusual ON tj_runs (outcome, id)
    WHERE outcome IN ('failed', 'timeout', 'lost', 'skipped', 'missed', 'cancelled');
CREATE INDEX tj_runs_unusual_job ON tj_runs (job_id, outcome, id)
    WHERE outcome IN ('failed', 'timeout', 'lost', 'skipped', 'missed', 'cancelled');
