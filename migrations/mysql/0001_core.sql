-- Instants are UTC milliseconds since 1970; columns that end in _ms hold them. Texts compare byte by
-- byte, as in the other databases. No partial index here: NULLs are distinct in a unique key, and the
-- open runs have an index by outcome.

CREATE TABLE tj_system (
    id           BIGINT       NOT NULL PRIMARY KEY,
    instance     VARCHAR(64)  NOT NULL, -- marks our child processes
    clock_epoch  BIGINT       NOT NULL, -- how often the wall clock jumped
    last_seen_ms BIGINT       NOT NULL, -- the wall clock at the last write
    log_bytes    BIGINT       NOT NULL  -- sum of tj_runs.bytes
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT INTO tj_system VALUES (1, replace(uuid(), '-', ''), 0, 0, 0);

-- What to run and when: written by people.
CREATE TABLE tj_jobs (
    id               BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY, -- never used twice
    name             VARCHAR(100) NOT NULL UNIQUE,
    descr            TEXT         NOT NULL,
    trigger_type     VARCHAR(20)  NOT NULL,
    cron_expr        TEXT         NOT NULL,
    interval_seconds BIGINT       NOT NULL,
    timezone         VARCHAR(64)  NOT NULL, -- empty: the server's
    mode             VARCHAR(20)  NOT NULL,
    command          LONGTEXT     NOT NULL,
    enabled          TINYINT(1)   NOT NULL,
    allow_mode       BIGINT       NOT NULL,
    max_run_count    BIGINT       NOT NULL,
    misfire_policy   VARCHAR(20)  NOT NULL,
    misfire_window   BIGINT       NOT NULL, -- seconds
    recovery         VARCHAR(20)  NOT NULL,
    remove_task      TINYINT(1)   NOT NULL,
    remove_log       TINYINT(1)   NOT NULL,
    stop_reason      VARCHAR(20),
    created_ms       BIGINT       NOT NULL,
    updated_ms       BIGINT       NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Where each job stands: written at every fire, so it is narrow.
CREATE TABLE tj_job_state (
    job_id       BIGINT NOT NULL PRIMARY KEY,
    decided_ms   BIGINT NOT NULL, -- every instant up to here is settled for ever
    run_count    BIGINT NOT NULL, -- scheduled starts
    immediate_ms BIGINT,          -- a run that is owed since then
    last_run_ms  BIGINT,          -- the latest start
    crash_streak BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE tj_runs (
    id            BIGINT       NOT NULL PRIMARY KEY, -- sorts by time of creation
    job_id        BIGINT       NOT NULL,
    fire_ms       BIGINT,                            -- null for manual runs, which are no fires
    clock_epoch   BIGINT       NOT NULL,
    job_name      VARCHAR(100) NOT NULL,
    mode          VARCHAR(20)  NOT NULL,
    command       LONGTEXT     NOT NULL,
    source        VARCHAR(20)  NOT NULL,
    outcome       VARCHAR(20)  NOT NULL,
    reason        VARCHAR(40),
    scheduled_ms  BIGINT       NOT NULL,
    start_ms      BIGINT,
    end_ms        BIGINT,
    attempt       BIGINT       NOT NULL,
    pid           BIGINT,
    pid_start     BIGINT,
    missed_to_ms  BIGINT,
    missed_count  BIGINT,
    bytes         BIGINT       NOT NULL,
    exit_code     BIGINT,
    error         LONGTEXT,                          -- JSON {"zh","en"}; what `reason` says in words is not stored
    result        LONGTEXT,
    http_method   VARCHAR(200),
    http_status   BIGINT,
    http_url      LONGTEXT,
    func_name     TEXT,
    func_args     LONGTEXT,
    func_result   LONGTEXT,
    stdout        LONGTEXT,
    stderr        LONGTEXT,
    http_resp     LONGTEXT,
    -- A fire is decided once: this key is what makes it so.
    UNIQUE KEY tj_runs_fire (job_id, fire_ms, clock_epoch),
    KEY tj_runs_job (job_id, id),
    KEY tj_runs_open (outcome, job_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
