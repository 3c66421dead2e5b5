-- Who may log in. `password_hash` is a PHC string (argon2id); one that came from an older edition as
-- bcrypt ($2a$, $2b$, $2y$) stays as it was. No password is ever stored in plain text.
CREATE TABLE tj_admins (
    id            BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY, -- never used twice
    username      VARCHAR(100) NOT NULL UNIQUE,
    password_hash VARCHAR(255) NOT NULL,
    email         VARCHAR(255) NOT NULL, -- empty: none
    role          VARCHAR(20)  NOT NULL, -- empty: none was given
    enabled       TINYINT(1)   NOT NULL,
    last_login_ms BIGINT,
    created_ms    BIGINT       NOT NULL,
    updated_ms    BIGINT       NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
