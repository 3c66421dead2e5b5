-- What failed in a day is found without reading the rest of it.
CREATE INDEX tj_runs_failed ON tj_runs (id) WHERE outcome IN ('failed', 'timeout', 'lost');
