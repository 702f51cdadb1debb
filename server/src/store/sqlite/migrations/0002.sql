-- Sessions that refresh and end: how the person signed in, what became of a refresh token, and which access tokens
-- were revoked before their time.

ALTER TABLE sessions ADD COLUMN methods TEXT NOT NULL DEFAULT '["ticket"]';

-- All three are there once the token was used. The successor is its digest.
ALTER TABLE refresh_tokens ADD COLUMN used_at INTEGER;
ALTER TABLE refresh_tokens ADD COLUMN salt BLOB CHECK (salt IS NULL OR length(salt) = 32);
ALTER TABLE refresh_tokens ADD COLUMN successor BLOB CHECK (successor IS NULL OR length(successor) = 32);

CREATE TABLE revoked_tokens (
    token_id   TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at);
