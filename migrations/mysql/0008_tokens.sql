-- What an account shows instead of its password: sessions of the console and of /admin/login, and tokens
-- of programs. Only a hash of each is kept, so that nobody who reads this table can use one.
CREATE TABLE tj_tokens (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, -- never used twice
    admin_id   BIGINT NOT NULL,
    kind       VARCHAR(20) NOT NULL, -- session or token
    name       VARCHAR(100) NOT NULL, -- for people: what it is for, or where it came from
    role       VARCHAR(20) NOT NULL, -- the most it may do
    hash       VARCHAR(64) NOT NULL UNIQUE, -- SHA-256, hexadecimal
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT, -- null: never
    used_ms    BIGINT
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX tj_tokens_admin ON tj_tokens (admin_id);
