-- What failed in a day is found without reading the rest of it. No partial index here: one by outcome.
CREATE INDEX tj_runs_failed ON tj_runs (outcome, id);
