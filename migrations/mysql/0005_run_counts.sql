-- How many ended runs there are, by outcome: of one job (slot -1), of all (job 0, slot -1), and of all
-- by the quarter of an hour in which they were created. Written with the runs, so no list counts them.
-- Runs with one outcome are listed by the indexes of migrations 1 (of one job) and 4 (of all).
CREATE TABLE tj_run_counts (
    job_id  BIGINT      NOT NULL,
    slot    BIGINT      NOT NULL, -- created_ms / 900000
    outcome VARCHAR(20) NOT NULL,
    runs    BIGINT      NOT NULL,
    PRIMARY KEY (job_id, slot, outcome)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT INTO tj_run_counts SELECT 0, (id >> 21) DIV 900000, outcome, count(*) FROM tj_runs
    WHERE outcome NOT IN ('waiting', 'running') GROUP BY 2, 3;
INSERT INTO tj_run_counts SELECT 0, -1, outcome, sum(runs) FROM tj_run_counts GROUP BY outcome;
INSERT INTO tj_run_counts SELECT job_id, -1, outcome, count(*) FROM tj_runs
    WHERE outcome NOT IN ('waiting', 'running') GROUP BY job_id, outcome;
