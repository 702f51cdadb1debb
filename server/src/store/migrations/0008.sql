-- The clock: records that are dated ahead are not accepted, by our own time; what is told in tokens is the wall clock's.
ALTER TABLE sessions ADD COLUMN signed_in_at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET signed_in_at = auth_time;
-- Those from before count as issued long ago: they end within five minutes.
ALTER TABLE challenges ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;

-- Time that the wall clock cannot be trusted with.

-- When a jump of the wall clock ended, or a person set the mark: by own time. Nothing is swept for an hour after it.
ALTER TABLE meta ADD COLUMN clock_jumped_at INTEGER;
-- Since when a jump has been in use that the mark does not follow, by own time. What was issued meanwhile may be dated ahead
-- of the time that counts later; it stays here until that has been looked for.
ALTER TABLE meta ADD COLUMN clock_ahead_since INTEGER;
