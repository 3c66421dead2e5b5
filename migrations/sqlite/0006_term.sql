-- Which server may write: each that takes the database over counts it up, and a commit of an earlier
-- one is refused.
ALTER TABLE tj_system ADD COLUMN term INTEGER NOT NULL DEFAULT 0;
