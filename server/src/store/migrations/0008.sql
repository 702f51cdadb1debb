-- Answers that are delivered once.

-- A ticket that was redeemed with an Idempotency-Key: the digest of the request, the salt of the tokens, and what it led to:
-- a session with its first refresh token, or a challenge. `repeated` counts how often the answer was given again.
ALTER TABLE tickets ADD COLUMN delivery_request BLOB CHECK (length(delivery_request) = 32);
ALTER TABLE tickets ADD COLUMN delivery_salt BLOB CHECK (length(delivery_salt) = 32);
ALTER TABLE tickets ADD COLUMN delivery_session TEXT;
ALTER TABLE tickets ADD COLUMN delivery_refresh BLOB CHECK (length(delivery_refresh) = 32);
ALTER TABLE tickets ADD COLUMN delivery_challenge BLOB CHECK (length(delivery_challenge) = 32);
ALTER TABLE tickets ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0;

-- The same of a challenge that was answered. When earlier ones were answered is not known: no later than at their end.
ALTER TABLE challenges ADD COLUMN answered_at INTEGER;
UPDATE challenges SET answered_at = expires_at WHERE answered = 1;
ALTER TABLE challenges ADD COLUMN delivery_request BLOB CHECK (length(delivery_request) = 32);
ALTER TABLE challenges ADD COLUMN delivery_salt BLOB CHECK (length(delivery_salt) = 32);
ALTER TABLE challenges ADD COLUMN delivery_session TEXT;
ALTER TABLE challenges ADD COLUMN delivery_refresh BLOB CHECK (length(delivery_refresh) = 32);
ALTER TABLE challenges ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0;
