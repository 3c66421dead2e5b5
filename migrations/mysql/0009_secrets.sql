-- Secrets that jobs use as ${secret:NAME}. Their values are sealed with a key that is kept in a file
-- beside the database, never in it: whoever has only this table has nothing.
CREATE TABLE tj_secrets (
    id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name        VARCHAR(64) NOT NULL UNIQUE,
    description VARCHAR(500) NOT NULL,
    key_id      VARCHAR(32) NOT NULL, -- which key it was sealed with
    sealed      TEXT NOT NULL, -- nonce and ChaCha20-Poly1305, base64
    created_ms  BIGINT NOT NULL,
    updated_ms  BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
