-- Bounded growth. This part comes first: it makes `challenges` anew, before columns are added to it.

-- A session keeps its last used refresh tokens, which its rotations number. What no audit row tells of yet is counted in the
-- token that was not used.
ALTER TABLE refresh_tokens ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refresh_tokens ADD COLUMN refreshes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refresh_tokens ADD COLUMN recorded_at INTEGER;
DROP INDEX refresh_tokens_by_session;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session, number);

-- Deleted users of whom sessions or challenges are left: the sweep takes those out, then the row here.
CREATE TABLE deleted_users (
  seq     INTEGER PRIMARY KEY,
  user_id TEXT NOT NULL UNIQUE
) STRICT;

-- The same as it was, without a key into the users: one that deletes a user's challenges together with the user would have no bound.
CREATE TABLE challenges_now (
  seq          INTEGER PRIMARY KEY,
  digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  user_id      TEXT NOT NULL,
  user_epoch   INTEGER NOT NULL,
  actor        TEXT,
  actor_epoch  INTEGER,
  reason       TEXT,
  client_id    TEXT NOT NULL,
  for_audience INTEGER NOT NULL CHECK (for_audience IN (0, 1)),
  bind         INTEGER NOT NULL CHECK (bind IN (0, 1)),
  scope        TEXT NOT NULL,
  methods      TEXT NOT NULL,
  ticket       TEXT,
  device       BLOB NOT NULL CHECK (length(device) = 32),
  network      TEXT NOT NULL,
  expires_at   INTEGER NOT NULL,
  wrong        INTEGER NOT NULL,
  answered     INTEGER NOT NULL CHECK (answered IN (0, 1)),
  state_epoch  INTEGER NOT NULL DEFAULT 0,
  CHECK ((actor IS NULL) = (reason IS NULL))
) STRICT;
INSERT INTO challenges_now (seq, digest, user_id, user_epoch, actor, actor_epoch, reason, client_id, for_audience, bind, scope,
    methods, ticket, device, network, expires_at, wrong, answered, state_epoch)
  SELECT seq, digest, user_id, user_epoch, actor, actor_epoch, reason, client_id, for_audience, bind, scope,
    methods, ticket, device, network, expires_at, wrong, answered, state_epoch FROM challenges;
DROP TABLE challenges;
ALTER TABLE challenges_now RENAME TO challenges;
CREATE INDEX challenges_by_expiry ON challenges (expires_at);
CREATE INDEX challenges_by_user ON challenges (user_id);

-- The audit chain: the row up to which it was archived, and the last row that was deleted after that, with its link. Each with a
-- keyed hash over it.
ALTER TABLE meta ADD COLUMN audit_archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN audit_archived_seal BLOB;
ALTER TABLE meta ADD COLUMN audit_cut INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN audit_cut_mac BLOB;
ALTER TABLE meta ADD COLUMN audit_cut_seal BLOB;
