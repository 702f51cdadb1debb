-- The first schema. Times are seconds since 1970-01-01T00:00:00Z, booleans are 0 or 1, digests are SHA-256.

-- One row: what is true of the whole file.
CREATE TABLE meta (
  id           INTEGER PRIMARY KEY CHECK (id = 1),
  generation   INTEGER NOT NULL,   -- of the keys; raised by every change to them
  clock_mark   INTEGER NOT NULL,   -- the high-water mark of time
  clock_resets INTEGER NOT NULL,   -- how often a person set the mark; a running server then starts over from it
  audit_seq    INTEGER NOT NULL,   -- the last row of the audit chain
  audit_mac    BLOB    NOT NULL,   -- its link
  audit_seal   BLOB    NOT NULL,   -- a keyed hash over both, so that a chain cut short does not pass for a whole one
  audit_key    BLOB    NOT NULL,   -- sealed
  master_check BLOB    NOT NULL,   -- a known text, sealed: tells a wrong master key from a right one
  commits      INTEGER NOT NULL    -- transactions so far; settles whether one whose answer was lost is in the file
) STRICT;

CREATE TABLE users (
  seq                  INTEGER PRIMARY KEY,
  id                   TEXT    NOT NULL UNIQUE,
  username             TEXT    NOT NULL UNIQUE,
  email                TEXT,
  phone                TEXT,
  name                 TEXT,
  gender               TEXT    CHECK (gender IN ('female', 'male')),
  address              TEXT,
  status               TEXT    NOT NULL CHECK (status IN ('active', 'disabled')),
  must_change_password INTEGER NOT NULL CHECK (must_change_password IN (0, 1)),
  created_at           INTEGER NOT NULL,
  updated_at           INTEGER NOT NULL,
  epoch                INTEGER NOT NULL,
  revision             INTEGER NOT NULL
) STRICT;

CREATE TABLE clients (
  seq                 INTEGER PRIMARY KEY,
  id                  TEXT    NOT NULL UNIQUE,
  name                TEXT,
  scope               TEXT    NOT NULL,
  default_scope       TEXT    NOT NULL,
  audiences           TEXT    NOT NULL,   -- a JSON array of texts
  enabled             INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  token_lifetime      INTEGER,
  user_token_lifetime INTEGER,
  created_at          INTEGER NOT NULL,
  revision            INTEGER NOT NULL
) STRICT;

CREATE TABLE client_secrets (
  client_id  TEXT    NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  position   INTEGER NOT NULL,
  digest     BLOB    NOT NULL CHECK (length(digest) = 32),
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (client_id, position)
) STRICT, WITHOUT ROWID;

-- Rows lie in the order of issue, so the live ones share few pages however many spent ones there are;
-- what is looked up at random is the narrow index of digests.
CREATE TABLE tickets (
  seq          INTEGER PRIMARY KEY,
  id           TEXT    NOT NULL UNIQUE,
  digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
  user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  client_id    TEXT    NOT NULL,
  issuer       TEXT,
  for_audience INTEGER NOT NULL CHECK (for_audience IN (0, 1)),
  bind         INTEGER NOT NULL CHECK (bind IN (0, 1)),
  scope        TEXT    NOT NULL,
  client_ip    TEXT,
  actor        TEXT,
  reason       TEXT,
  issued_at    INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  spent_at     INTEGER,
  revoked_at   INTEGER,
  CHECK (spent_at IS NULL OR revoked_at IS NULL),
  CHECK ((actor IS NULL) = (reason IS NULL))
) STRICT;
CREATE INDEX tickets_by_expiry ON tickets (expires_at);
CREATE INDEX tickets_by_user ON tickets (user_id);

CREATE TABLE sessions (
  seq          INTEGER PRIMARY KEY,
  id           TEXT    NOT NULL UNIQUE,
  user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  user_epoch   INTEGER NOT NULL,
  actor        TEXT,
  client_id    TEXT    NOT NULL,
  bind         INTEGER NOT NULL CHECK (bind IN (0, 1)),
  for_audience INTEGER NOT NULL CHECK (for_audience IN (0, 1)),
  scope        TEXT    NOT NULL,
  auth_time    INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  ended_at     INTEGER
) STRICT;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE refresh_tokens (
  digest     BLOB    PRIMARY KEY CHECK (length(digest) = 32),
  session    INTEGER NOT NULL REFERENCES sessions (seq) ON DELETE CASCADE,
  issued_at  INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session);

CREATE TABLE keys (
  seq        INTEGER PRIMARY KEY,
  kid        TEXT    NOT NULL UNIQUE,
  alg        TEXT    NOT NULL,
  state      TEXT    NOT NULL CHECK (state IN ('published', 'signing', 'verifying-only')),
  created_at INTEGER NOT NULL,
  sealed     BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_key_signs ON keys (state) WHERE state = 'signing';

CREATE TABLE audit (
  seq     INTEGER PRIMARY KEY,   -- without gaps
  at      INTEGER NOT NULL,
  kind    TEXT    NOT NULL,
  subject TEXT,
  actor   TEXT,
  client  TEXT,
  ticket  TEXT,
  session TEXT,
  key     TEXT,
  address TEXT,
  refusal TEXT,
  reason  TEXT,
  count   INTEGER NOT NULL,
  mac     BLOB    NOT NULL       -- keyed hash over the previous row's and this row
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
