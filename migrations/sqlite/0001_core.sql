-- Instants are UTC milliseconds since 1970; columns that end in _ms hold them.

CREATE TABLE tj_system (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    instance     TEXT    NOT NULL, -- marks our child processes
    clock_epoch  INTEGER NOT NULL, -- how often the wall clock jumped
    last_seen_ms INTEGER NOT NULL, -- the wall clock at the last write
    log_bytes    INTEGER NOT NULL  -- sum of tj_runs.bytes
);
INSERT INTO tj_system VALUES (1, lower(hex(randomblob(16))), 0, 0, 0);

-- What to run and when: written by people.
CREATE TABLE tj_jobs (
    id               INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
    name             TEXT    NOT NULL UNIQUE,
    descr            TEXT    NOT NULL,
    trigger_type     TEXT    NOT NULL,
    cron_expr        TEXT    NOT NULL,
    interval_seconds INTEGER NOT NULL,
    timezone         TEXT    NOT NULL, -- empty: the server's
    mode             TEXT    NOT NULL,
    command          TEXT    NOT NULL,
    enabled          INTEGER NOT NULL,
    allow_mode       INTEGER NOT NULL,
    max_run_count    INTEGER NOT NULL,
    misfire_policy   TEXT    NOT NULL,
    misfire_window   INTEGER NOT NULL, -- seconds
    recovery         TEXT    NOT NULL,
    remove_task      INTEGER NOT NULL,
    remove_log       INTEGER NOT NULL,
    stop_reason      TEXT,
    created_ms       INTEGER NOT NULL,
    updated_ms       INTEGER NOT NULL
);

-- Where each job stands: written at every fire, so it is narrow.
CREATE TABLE tj_job_state (
    job_id       INTEGER PRIMARY KEY,
    decided_ms   INTEGER NOT NULL, -- every instant up to here is settled for ever
    run_count    INTEGER NOT NULL, -- scheduled starts
    immediate_ms INTEGER,          -- a run that is owed since then
    last_run_ms  INTEGER,          -- the latest start
    crash_streak INTEGER NOT NULL
);

CREATE TABLE tj_runs (
    id            INTEGER PRIMARY KEY, -- sorts by time of creation
    job_id        INTEGER NOT NULL,
    fire_ms       INTEGER,             -- null for manual runs, which are no fires
    clock_epoch   INTEGER NOT NULL,
    job_name      TEXT    NOT NULL,
    mode          TEXT    NOT NULL,
    command       TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    outcome       TEXT    NOT NULL,
    reason        TEXT,
    scheduled_ms  INTEGER NOT NULL,
    start_ms      INTEGER,
    end_ms        INTEGER,
    attempt       INTEGER NOT NULL,
    pid           INTEGER,
    pid_start     INTEGER,
    missed_to_ms  INTEGER,
    missed_count  INTEGER,
    bytes         INTEGER NOT NULL,
    exit_code     INTEGER,
    error         TEXT,                -- JSON {"zh","en"}; what `reason` says in words is not stored
    result        TEXT,
    http_method   TEXT,
    http_status   INTEGER,
    http_url      TEXT,
    func_name     TEXT,
    func_args     TEXT,
    func_result   TEXT,
    stdout        TEXT,
    stderr        TEXT,
    http_resp     TEXT
);
-- A fire is decided once: this key is what makes it so.
CREATE UNIQUE INDEX tj_runs_fire ON tj_runs (job_id, fire_ms, clock_epoch) WHERE fire_ms IS NOT NULL;
CREATE INDEX tj_runs_job ON tj_runs (job_id, id);
CREATE INDEX tj_runs_open ON tj_runs (job_id) WHERE outcome IN ('waiting', 'running');
