-- Time that the wall clock cannot be trusted with.

-- When a jump of the wall clock ended, or a person set the mark: by own time. Nothing is swept for an hour after it.
ALTER TABLE meta ADD COLUMN clock_jumped_at INTEGER;
-- Since when a jump has been in use that the mark does not follow, by own time. What was issued meanwhile may be dated ahead
-- of the time that counts later; it stays here until that has been looked for.
ALTER TABLE meta ADD COLUMN clock_ahead_since INTEGER;
