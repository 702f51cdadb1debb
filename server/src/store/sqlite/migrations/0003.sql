-- Second factors, and sign-ins that wait for one.

CREATE TABLE totp_devices (
    seq         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT,
    hash        TEXT NOT NULL CHECK (hash IN ('SHA1', 'SHA256', 'SHA512')),
    digits      INTEGER NOT NULL CHECK (digits IN (6, 8)),
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    verified_at INTEGER,
    verified_by TEXT,
    last_step   INTEGER NOT NULL
) STRICT;

CREATE INDEX totp_devices_by_user ON totp_devices (user_id);

-- A code that was used is gone. It outlives the device it came with, once that has counted.
CREATE TABLE backup_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest  BLOB NOT NULL CHECK (length(digest) = 32),
    device  TEXT NOT NULL,
    PRIMARY KEY (user_id, digest)
) STRICT, WITHOUT ROWID;

-- Nobody has a row who was never guessed at.
CREATE TABLE factor_guesses (
    user_id      TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    wrong        INTEGER NOT NULL,
    locks        INTEGER NOT NULL,
    locked_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE challenges (
    seq          INTEGER PRIMARY KEY,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_epoch   INTEGER NOT NULL,
    actor        TEXT,
    reason       TEXT,
    client_id    TEXT NOT NULL,
    for_audience INTEGER NOT NULL CHECK (for_audience IN (0, 1)),
    bind         INTEGER NOT NULL CHECK (bind IN (0, 1)),
    scope        TEXT NOT NULL,
    methods      TEXT NOT NULL,
    ticket       TEXT NOT NULL,
    expires_at   INTEGER NOT NULL,
    wrong        INTEGER NOT NULL,
    answered     INTEGER NOT NULL CHECK (answered IN (0, 1)),
    CHECK ((actor IS NULL) = (reason IS NULL))
) STRICT;

CREATE INDEX challenges_by_expiry ON challenges (expires_at);
CREATE INDEX challenges_by_user ON challenges (user_id);
