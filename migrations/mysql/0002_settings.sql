-- What people change while the server runs and what must survive a restart; JSON values.
CREATE TABLE tj_settings (
    name  VARCHAR(100) NOT NULL PRIMARY KEY,
    value LONGTEXT     NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
