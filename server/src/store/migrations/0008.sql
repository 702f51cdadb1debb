-- The clock: records that are dated ahead are not accepted, by our own time; what is told in tokens is the wall clock's.
ALTER TABLE sessions ADD COLUMN signed_in_at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET signed_in_at = auth_time;
-- Those from before count as issued long ago: they end within five minutes.
ALTER TABLE challenges ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;
