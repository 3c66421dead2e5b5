-- What an account shows instead of its password: sessions of the console and of /admin/login, and tokens
-- of programs. Only a hash of each is kept, so that nobody who reads this table can use one.
CREATE TABLE tj_tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
    admin_id   INTEGER NOT NULL,
    kind       TEXT NOT NULL, -- session or token
    name       TEXT NOT NULL, -- for people: what it is for, or where it came from
    role       TEXT NOT NULL, -- the most it may do
    hash       TEXT NOT NULL UNIQUE, -- SHA-256, hexadecimal
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER, -- null: never
    used_ms    INTEGER
);
CREATE INDEX tj_tokens_admin ON tj_tokens (admin_id);
