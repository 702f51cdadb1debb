-- Deciding a sign-in: passwords, from where and when people usually sign in, and how a risk was judged.

ALTER TABLE users ADD COLUMN password_changed_at INTEGER;
ALTER TABLE users ADD COLUMN second_factor TEXT CHECK (second_factor IN ('never', 'risk', 'always'));
ALTER TABLE clients ADD COLUMN second_factor TEXT CHECK (second_factor IN ('never', 'risk', 'always'));
CREATE INDEX users_by_email ON users (email COLLATE NOCASE) WHERE email IS NOT NULL;
CREATE INDEX users_by_phone ON users (phone) WHERE phone IS NOT NULL;

ALTER TABLE sessions ADD COLUMN purpose TEXT NOT NULL DEFAULT 'anything'
    CHECK (purpose IN ('anything', 'enrol', 'change-password'));
ALTER TABLE sessions ADD COLUMN actor_epoch INTEGER;
UPDATE sessions SET actor_epoch = coalesce((SELECT epoch FROM users WHERE users.id = sessions.actor), 0)
WHERE actor IS NOT NULL;

-- Set up by a session that had shown a factor, or showed one for it.
ALTER TABLE totp_devices ADD COLUMN vouched_for INTEGER NOT NULL DEFAULT 0 CHECK (vouched_for IN (0, 1));

-- In the chain where it is there, so that the rows before hash as they did.
ALTER TABLE audit ADD COLUMN risk TEXT;

-- In the PHC string format.
CREATE TABLE passwords (
    user_id      TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash         TEXT NOT NULL,
    wrong        INTEGER NOT NULL,
    locks        INTEGER NOT NULL,
    locked_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE known_places (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device  BLOB NOT NULL CHECK (length(device) = 32),
    network TEXT NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, device, network)
) STRICT, WITHOUT ROWID;

CREATE TABLE sign_in_hours (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hour    INTEGER NOT NULL CHECK (hour BETWEEN 0 AND 23),
    times   INTEGER NOT NULL,
    PRIMARY KEY (user_id, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE sign_in_failures (
    seq     INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_failures_by_user ON sign_in_failures (user_id);

-- Challenges live for minutes, and those under way do not say where they came from.
DROP TABLE challenges;
CREATE TABLE challenges (
    seq          INTEGER PRIMARY KEY,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
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
    CHECK ((actor IS NULL) = (reason IS NULL))
) STRICT;
CREATE INDEX challenges_by_expiry ON challenges (expires_at);
CREATE INDEX challenges_by_user ON challenges (user_id);
