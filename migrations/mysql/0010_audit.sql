-- Who changed what, from where, and how it was before. Rows are added with the change itself and never
-- altered; they go by age and number.
CREATE TABLE tj_audit (
    id          BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at_ms       BIGINT NOT NULL,
    actor       VARCHAR(100) NOT NULL, -- the account; owner: nobody had to log in; system
    role        VARCHAR(20) NOT NULL,
    via         VARCHAR(200) NOT NULL, -- session, token <its name>, or what else let the actor in
    source      VARCHAR(64) NOT NULL, -- the client's address; empty: none
    act         VARCHAR(40) NOT NULL,
    target_kind VARCHAR(20) NOT NULL, -- empty: nothing in particular
    target_id   VARCHAR(40) NOT NULL,
    target_name VARCHAR(400) NOT NULL, -- as it was called then
    before_json MEDIUMTEXT, -- of a change only the fields that differ
    after_json  MEDIUMTEXT
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
CREATE INDEX tj_audit_at ON tj_audit (at_ms);
CREATE INDEX tj_audit_act ON tj_audit (act, id);
CREATE INDEX tj_audit_actor ON tj_audit (actor, id);
