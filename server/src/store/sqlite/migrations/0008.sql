-- Schema 8.

-- ## Bounded growth
-- This part comes first: it makes `challenges` anew, before columns are added to it.

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

-- ## Accounts: a client is more than its name
-- What rests on a client names its epoch. Another client of the same id has another one, and so has a client that was disabled since.
-- Clients from before have 0, and those that are disabled now 1: what they were given does not come back when they are enabled.
ALTER TABLE clients ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
UPDATE clients SET epoch = 1 WHERE enabled = 0;

-- NULL where something rests on no client's record: it was signed in for by a password, or by a ticket of the command line that names
-- no audience.
ALTER TABLE tickets ADD COLUMN client_epoch INTEGER;
ALTER TABLE tickets ADD COLUMN issuer_epoch INTEGER;
ALTER TABLE sessions ADD COLUMN client_epoch INTEGER;
ALTER TABLE sessions ADD COLUMN issuer TEXT;
ALTER TABLE sessions ADD COLUMN issuer_epoch INTEGER;
ALTER TABLE challenges ADD COLUMN client_epoch INTEGER;
ALTER TABLE challenges ADD COLUMN issuer TEXT;
ALTER TABLE challenges ADD COLUMN issuer_epoch INTEGER;

UPDATE tickets SET issuer_epoch = 0 WHERE issuer IS NOT NULL;
UPDATE tickets SET client_epoch = 0 WHERE issuer IS NOT NULL OR for_audience = 1 OR bind = 1;
-- Of the issuer of a session or a challenge the rows from before do not tell. For `admin`, without an audience, it may have been the
-- client of that name or the command line: where there is such a client, the session rests on it.
UPDATE sessions SET client_epoch = 0 WHERE for_audience = 1 OR bind = 1 OR client_id NOT IN ('gatepass', 'admin')
  OR (client_id = 'admin' AND EXISTS (SELECT 1 FROM clients c WHERE c.id = 'admin' AND c.created_at < sessions.auth_time));
UPDATE challenges SET client_epoch = 0 WHERE for_audience = 1 OR bind = 1 OR client_id NOT IN ('gatepass', 'admin')
  OR (client_id = 'admin' AND EXISTS (SELECT 1 FROM clients c WHERE c.id = 'admin'));

-- A client that is no older than what bears its name may be a namesake of the one it was issued for. Challenges do not say when they were
-- made, but live for five minutes; the second in which a client was added counts as before.
UPDATE sessions SET ended_at = auth_time WHERE ended_at IS NULL AND client_epoch IS NOT NULL
  AND EXISTS (SELECT 1 FROM clients c WHERE c.id = sessions.client_id AND c.created_at >= sessions.auth_time);
UPDATE tickets SET revoked_at = issued_at WHERE spent_at IS NULL AND revoked_at IS NULL AND client_epoch IS NOT NULL
  AND EXISTS (SELECT 1 FROM clients c WHERE c.id IN (tickets.client_id, tickets.issuer) AND c.created_at >= tickets.issued_at);
DELETE FROM challenges WHERE client_epoch IS NOT NULL
  AND EXISTS (SELECT 1 FROM clients c WHERE c.id = challenges.client_id AND c.created_at >= challenges.expires_at - 300);

-- ## Delivery: an answer that was lost comes again

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

-- ## Time
-- Records that are dated ahead are not accepted, by our own time; what is told in tokens is the wall clock's.
ALTER TABLE sessions ADD COLUMN signed_in_at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET signed_in_at = auth_time;
-- Those from before count as issued long ago: they end within five minutes.
ALTER TABLE challenges ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;

-- ## The clock

-- When a jump of the wall clock ended, or a person set the mark: by own time. Nothing is swept for an hour after it.
ALTER TABLE meta ADD COLUMN clock_jumped_at INTEGER;
-- Since when a jump has been in use that the mark does not follow, by own time. What was issued meanwhile may be dated ahead
-- of the time that counts later; it stays here until that has been looked for.
ALTER TABLE meta ADD COLUMN clock_ahead_since INTEGER;
