-- What people change while the server runs and what must survive a restart; JSON values.
CREATE TABLE tj_settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
