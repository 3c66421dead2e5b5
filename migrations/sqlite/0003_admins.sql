-- Who may log in. `password_hash` is a PHC string (argon2id); one that came from an older edition as
-- bcrypt ($2a$, $2b$, $2y$) stays as it was. No password is ever stored in plain text.
CREATE TABLE tj_admins (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
    username      TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    email         TEXT    NOT NULL, -- empty: none
    role          TEXT    NOT NULL, -- empty: none was given
    enabled       INTEGER NOT NULL,
    last_login_ms INTEGER,
    created_ms    INTEGER NOT NULL,
    updated_ms    INTEGER NOT NULL
);
