-- Who changed what, from where, and how it was before. Rows are added with the change itself and never
-- altered; they go by age and number.
CREATE TABLE tj_audit (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms       INTEGER NOT NULL,
    actor       TEXT NOT NULL, -- the account; owner: nobody had to log in; system
    role        TEXT NOT NULL,
    via         TEXT NOT NULL, -- session, token <its name>, or what else let the actor in
    source      TEXT NOT NULL, -- the client's address; empty: none
    act         TEXT NOT NULL,
    target_kind TEXT NOT NULL, -- empty: nothing in particular
    target_id   TEXT NOT NULL,
    target_name TEXT NOT NULL, -- as it was called then
    before_json TEXT, -- of a change only the fields that differ
    after_json  TEXT
);
CREATE INDEX tj_audit_at ON tj_audit (at_ms);
CREATE INDEX tj_audit_act ON tj_audit (act, id);
CREATE INDEX tj_audit_actor ON tj_audit (actor, id);
