-- Secrets that jobs use as ${secret:NAME}. Their values are sealed with a key that is kept in a file
-- beside the database, never in it: whoever has only this table has nothing.
CREATE TABLE tj_secrets (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    key_id      TEXT NOT NULL, -- which key it was sealed with
    sealed      TEXT NOT NULL, -- nonce and ChaCha20-Poly1305, base64
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
);
