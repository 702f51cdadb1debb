-- Sessions of one person are looked for 1024 sessions at a time: a sign-in writes into the few pages that the sign-ins
-- before it wrote into, however many people there are. A key into the users would need an index that does not.
CREATE TABLE sessions_now (
  seq          INTEGER PRIMARY KEY,
  id           TEXT    NOT NULL UNIQUE,
  user_id      TEXT    NOT NULL,   -- of a user: who is deleted takes them along
  user_epoch   INTEGER NOT NULL,
  actor        TEXT,
  actor_epoch  INTEGER,
  client_id    TEXT    NOT NULL,
  bind         INTEGER NOT NULL CHECK (bind IN (0, 1)),
  for_audience INTEGER NOT NULL CHECK (for_audience IN (0, 1)),
  purpose      TEXT    NOT NULL CHECK (purpose IN ('anything', 'enrol', 'change-password')),
  scope        TEXT    NOT NULL,
  auth_time    INTEGER NOT NULL,
  methods      TEXT    NOT NULL,   -- a JSON array of texts
  expires_at   INTEGER NOT NULL,
  ended_at     INTEGER
) STRICT;
INSERT INTO sessions_now (seq, id, user_id, user_epoch, actor, actor_epoch, client_id, bind, for_audience, purpose, scope,
    auth_time, methods, expires_at, ended_at)
  SELECT seq, id, user_id, user_epoch, actor, actor_epoch, client_id, bind, for_audience, purpose, scope,
    auth_time, methods, expires_at, ended_at FROM sessions;

-- The same as it was, of the new table: what names the old one would go with it.
CREATE TABLE refresh_tokens_now (
  digest     BLOB    PRIMARY KEY CHECK (length(digest) = 32),
  session    INTEGER NOT NULL REFERENCES sessions_now (seq) ON DELETE CASCADE,
  issued_at  INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at    INTEGER,
  salt       BLOB    CHECK (salt IS NULL OR length(salt) = 32),
  successor  BLOB    CHECK (successor IS NULL OR length(successor) = 32)
) STRICT, WITHOUT ROWID;
INSERT INTO refresh_tokens_now (digest, session, issued_at, expires_at, used_at, salt, successor)
  SELECT digest, session, issued_at, expires_at, used_at, salt, successor FROM refresh_tokens
  WHERE session IN (SELECT seq FROM sessions);
DROP TABLE refresh_tokens;
DROP TABLE sessions;
ALTER TABLE sessions_now RENAME TO sessions;
ALTER TABLE refresh_tokens_now RENAME TO refresh_tokens;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_user ON sessions (seq / 1024, user_id);
