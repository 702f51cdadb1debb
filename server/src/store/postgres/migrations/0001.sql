-- The first schema. Times are seconds since 1970-01-01T00:00:00Z, digests are SHA-256. Names are compared byte by byte.

-- One row: what is true of the whole store.
CREATE TABLE meta (
  id              bigint NOT NULL PRIMARY KEY DEFAULT 1 CHECK (id = 1),
  generation      bigint NOT NULL,   -- of the keys; raised by every change to them
  state_epoch     bigint NOT NULL,   -- raised when older state was put back
  clock_mark      bigint NOT NULL,   -- the high-water mark of time
  clock_resets    bigint NOT NULL,   -- how often a person set the mark
  clock_jumped_at bigint,
  clock_ahead_since bigint,
  installation    bytea  NOT NULL CHECK (length(installation) = 16),
  audit_key       bytea  NOT NULL,   -- sealed
  master_key_id   bigint NOT NULL,   -- raised when the master key is replaced
  master_check    bytea  NOT NULL,   -- a known text, sealed: tells a wrong master key from a right one
  identifier_rules text COLLATE "C" NOT NULL,
  numbering_plan  text COLLATE "C",
  handover        text COLLATE "C",  -- the id of the handover, while nothing is written any more
  copied_at       bigint,            -- when the copy was made that this is, until a process takes it into use
  audit_slots     bigint NOT NULL,   -- how many there are, numbered from 0
  audit_slots_seal bytea NOT NULL CHECK (length(audit_slots_seal) = 32)
);

-- A commit that was answered as lost is looked for by writing its id once more.
CREATE TABLE commits (
  id      bytea  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  written bigint NOT NULL CHECK (written IN (0, 1)),   -- 0: by whoever looked for it, so that it cannot be any more
  at      bigint NOT NULL
);
CREATE INDEX commits_by_time ON commits (at);

CREATE TABLE users (
  id                   text COLLATE "C" NOT NULL PRIMARY KEY,
  username             text COLLATE "C" NOT NULL,
  email                text COLLATE "C",
  phone                text COLLATE "C",
  name                 text COLLATE "C",
  gender               text COLLATE "C" CHECK (gender IN ('female', 'male')),
  address              text COLLATE "C",
  status               text COLLATE "C" NOT NULL CHECK (status IN ('active', 'disabled')),
  must_change_password bigint NOT NULL CHECK (must_change_password IN (0, 1)),
  created_at           bigint NOT NULL,
  updated_at           bigint NOT NULL,
  epoch                bigint NOT NULL,
  revision             bigint NOT NULL,
  password_changed_at  bigint,
  second_factor        text COLLATE "C" CHECK (second_factor IN ('never', 'risk', 'always')),
  roles                bigint NOT NULL CHECK (roles BETWEEN 0 AND 7)
);
CREATE INDEX users_with_roles ON users (id) WHERE roles <> 0;

-- User names, e-mail addresses and telephone numbers in the form in which they are compared. Who writes one holds an advisory lock on it.
CREATE TABLE identifiers (
  user_id   text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  kind      text COLLATE "C" NOT NULL CHECK (kind IN ('username', 'email', 'phone')),
  canonical text COLLATE "C" NOT NULL,
  PRIMARY KEY (user_id, kind)
);
CREATE INDEX identifiers_by_canonical ON identifiers (canonical, user_id);

-- Deleted users of whom sessions or challenges are left: the sweep takes those out, then the row here.
CREATE TABLE deleted_users (user_id text COLLATE "C" NOT NULL PRIMARY KEY);

CREATE TABLE clients (
  id                  text COLLATE "C" NOT NULL PRIMARY KEY,
  name                text COLLATE "C",
  scope               text COLLATE "C" NOT NULL,
  default_scope       text COLLATE "C" NOT NULL,
  audiences           text COLLATE "C" NOT NULL,   -- a JSON array of texts
  enabled             bigint NOT NULL CHECK (enabled IN (0, 1)),
  token_lifetime      bigint,
  user_token_lifetime bigint,
  created_at          bigint NOT NULL,
  revision            bigint NOT NULL,
  second_factor       text COLLATE "C" CHECK (second_factor IN ('never', 'risk', 'always')),
  epoch               bigint NOT NULL,
  trusted_context     bigint NOT NULL CHECK (trusted_context IN (0, 1)),
  roles               bigint NOT NULL CHECK (roles BETWEEN 0 AND 7),
  jwks                text COLLATE "C",             -- the public keys of the client as a JWK set
  signing_algorithm   text COLLATE "C"
);
CREATE INDEX clients_with_roles ON clients (id) WHERE roles <> 0;
CREATE INDEX clients_by_signing_algorithm ON clients (signing_algorithm) WHERE signing_algorithm IS NOT NULL;

CREATE TABLE client_secrets (
  client_id    text COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  position     bigint NOT NULL,
  id           text COLLATE "C" NOT NULL,
  digest       bytea  NOT NULL CHECK (length(digest) = 32),
  created_at   bigint NOT NULL,
  expires_at   bigint,
  last_used_at bigint,
  PRIMARY KEY (client_id, position)
);

CREATE TABLE tickets (
  id                 text COLLATE "C" NOT NULL UNIQUE,
  digest             bytea  NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
  user_id            text COLLATE "C" NOT NULL,
  client_id          text COLLATE "C" NOT NULL,
  issuer             text COLLATE "C",
  for_audience       bigint NOT NULL CHECK (for_audience IN (0, 1)),
  bind               bigint NOT NULL CHECK (bind IN (0, 1)),
  scope              text COLLATE "C" NOT NULL,
  client_ip          text COLLATE "C",
  actor              text COLLATE "C",
  reason             text COLLATE "C",
  issued_at          bigint NOT NULL,
  expires_at         bigint NOT NULL,
  spent_at           bigint,
  revoked_at         bigint,
  state_epoch        bigint NOT NULL,
  delivery_request   bytea CHECK (length(delivery_request) = 32),
  delivery_salt      bytea CHECK (length(delivery_salt) = 32),
  delivery_session   text COLLATE "C",
  delivery_refresh   bytea CHECK (length(delivery_refresh) = 32),
  delivery_challenge bytea CHECK (length(delivery_challenge) = 32),
  repeated           bigint NOT NULL,
  client_epoch       bigint,
  issuer_epoch       bigint,
  CHECK (spent_at IS NULL OR revoked_at IS NULL),
  CHECK ((actor IS NULL) = (reason IS NULL))
) WITH (fillfactor = 50);   -- each is spent once: there is room for that on its page, and no index changes
CREATE INDEX tickets_by_expiry ON tickets (expires_at);

CREATE TABLE sessions (
  id           text COLLATE "C" NOT NULL PRIMARY KEY,
  user_id      text COLLATE "C" NOT NULL,
  user_epoch   bigint NOT NULL,
  actor        text COLLATE "C",
  actor_epoch  bigint,
  client_id    text COLLATE "C" NOT NULL,
  bind         bigint NOT NULL CHECK (bind IN (0, 1)),
  for_audience bigint NOT NULL CHECK (for_audience IN (0, 1)),
  purpose      text COLLATE "C" NOT NULL CHECK (purpose IN ('anything', 'enrol', 'change-password')),
  scope        text COLLATE "C" NOT NULL,
  auth_time    bigint NOT NULL,
  methods      text COLLATE "C" NOT NULL,   -- a JSON array of texts
  expires_at   bigint NOT NULL,
  ended_at     bigint,
  state_epoch  bigint NOT NULL,
  client_epoch bigint,
  issuer       text COLLATE "C",
  issuer_epoch bigint,
  signed_in_at bigint NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_user ON sessions (user_id, id);

CREATE TABLE refresh_tokens (
  digest      bytea  NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
  session     text COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  issued_at   bigint NOT NULL,
  expires_at  bigint NOT NULL,
  used_at     bigint,
  salt        bytea CHECK (length(salt) = 32),
  successor   bytea CHECK (length(successor) = 32),
  number      bigint NOT NULL,
  refreshes   bigint NOT NULL,
  recorded_at bigint
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session, number);

CREATE TABLE revoked_tokens (
  token_id   text COLLATE "C" NOT NULL PRIMARY KEY,
  expires_at bigint NOT NULL
);
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at);

-- SHA-256 over a client and the `jti` of an assertion that it has used.
CREATE TABLE used_assertions (
  digest     bytea  NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
  expires_at bigint NOT NULL
);
CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);

CREATE TABLE challenges (
  digest           bytea  NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
  user_id          text COLLATE "C" NOT NULL,
  user_epoch       bigint NOT NULL,
  actor_epoch      bigint,
  actor            text COLLATE "C",
  reason           text COLLATE "C",
  client_id        text COLLATE "C" NOT NULL,
  for_audience     bigint NOT NULL CHECK (for_audience IN (0, 1)),
  bind             bigint NOT NULL CHECK (bind IN (0, 1)),
  scope            text COLLATE "C" NOT NULL,
  methods          text COLLATE "C" NOT NULL,
  ticket           text COLLATE "C",
  device           bytea  NOT NULL CHECK (length(device) = 32),
  network          text COLLATE "C" NOT NULL,
  expires_at       bigint NOT NULL,
  wrong            bigint NOT NULL,
  answered         bigint NOT NULL CHECK (answered IN (0, 1)),
  state_epoch      bigint NOT NULL,
  answered_at      bigint,
  delivery_request bytea CHECK (length(delivery_request) = 32),
  delivery_salt    bytea CHECK (length(delivery_salt) = 32),
  delivery_session text COLLATE "C",
  delivery_refresh bytea CHECK (length(delivery_refresh) = 32),
  repeated         bigint NOT NULL,
  client_epoch     bigint,
  issuer           text COLLATE "C",
  issuer_epoch     bigint,
  issued_at        bigint NOT NULL,
  CHECK ((actor IS NULL) = (reason IS NULL))
);
CREATE INDEX challenges_by_expiry ON challenges (expires_at);
CREATE INDEX challenges_by_user ON challenges (user_id);

CREATE TABLE totp_devices (
  seq         bigserial NOT NULL UNIQUE,
  id          text COLLATE "C" NOT NULL PRIMARY KEY,
  user_id     text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name        text COLLATE "C",
  hash        text COLLATE "C" NOT NULL CHECK (hash IN ('SHA1', 'SHA256', 'SHA512')),
  digits      bigint NOT NULL CHECK (digits IN (6, 8)),
  sealed      bytea  NOT NULL,
  created_at  bigint NOT NULL,
  verified_at bigint,
  verified_by text COLLATE "C",
  last_step   bigint NOT NULL,
  vouched_for bigint NOT NULL CHECK (vouched_for IN (0, 1))
);
CREATE INDEX totp_devices_by_user ON totp_devices (user_id);

-- A code that was used is gone. It outlives the device it came with, once that has counted.
CREATE TABLE backup_codes (
  user_id text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  digest  bytea NOT NULL CHECK (length(digest) = 32),
  device  text COLLATE "C" NOT NULL,
  PRIMARY KEY (user_id, digest)
);
CREATE INDEX backup_codes_by_device ON backup_codes (device);

CREATE TABLE factor_guesses (
  user_id      text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  wrong        bigint NOT NULL,
  locks        bigint NOT NULL,
  locked_until bigint
);

-- In the PHC string format.
CREATE TABLE passwords (
  user_id      text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  hash         text COLLATE "C" NOT NULL,
  wrong        bigint NOT NULL,
  locks        bigint NOT NULL,
  locked_until bigint
);

-- What is remembered of somebody's sign-ins, in one row: each reads all of it, and changes most.
CREATE TABLE habits (
  user_id  text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  hours    text COLLATE "C" NOT NULL,
  places   text COLLATE "C" NOT NULL,
  failures text COLLATE "C" NOT NULL,
  lockouts text COLLATE "C" NOT NULL
);

CREATE TABLE keys (
  seq         bigserial NOT NULL UNIQUE,
  kid         text COLLATE "C" NOT NULL PRIMARY KEY,
  alg         text COLLATE "C" NOT NULL,
  state       text COLLATE "C" NOT NULL CHECK (state IN ('published', 'signing', 'verifying-only')),
  created_at  bigint NOT NULL,
  beside      bigint NOT NULL CHECK (beside IN (0, 1)),
  retire_from bigint,
  sealed      bytea NOT NULL
);

-- The chains of audit rows: one for each serving process, and slot 0 for the commands. `fence` is raised by each process that takes a slot
-- over: a batch of one that lost it writes nothing.
CREATE TABLE audit_slots (
  slot         bigint NOT NULL PRIMARY KEY,
  fence        bigint NOT NULL,
  leased_until timestamptz,
  holder       text COLLATE "C",
  seq          bigint NOT NULL,   -- the last row of the chain
  mac          bytea  NOT NULL CHECK (length(mac) = 32),
  seal         bytea  NOT NULL CHECK (length(seal) = 32),
  archived     bigint NOT NULL DEFAULT 0,   -- the last row that an archive has
  archived_seal bytea CHECK (length(archived_seal) = 32),
  cut          bigint NOT NULL DEFAULT 0,   -- the last row that was deleted
  cut_mac      bytea CHECK (length(cut_mac) = 32),
  cut_seal     bytea CHECK (length(cut_seal) = 32)
);

CREATE TABLE audit (
  number       bigserial NOT NULL PRIMARY KEY,   -- the order of the lists; it may have gaps
  slot         bigint NOT NULL REFERENCES audit_slots (slot),
  seq          bigint NOT NULL,                  -- without gaps in its slot
  at           bigint NOT NULL,
  kind         text COLLATE "C" NOT NULL,
  subject      text COLLATE "C",
  actor        text COLLATE "C",
  client       text COLLATE "C",
  ticket       text COLLATE "C",
  session      text COLLATE "C",
  key          text COLLATE "C",
  address      text COLLATE "C",
  refusal      text COLLATE "C",
  reason       text COLLATE "C",
  count        bigint NOT NULL,
  risk         text COLLATE "C",
  issuer       text COLLATE "C",
  issuer_user  text COLLATE "C",
  request      text COLLATE "C",
  sent_request text COLLATE "C",
  operator     text COLLATE "C",
  stated_by    text COLLATE "C",
  peer         text COLLATE "C",
  by_user      text COLLATE "C",
  by_client    text COLLATE "C",
  roles        text COLLATE "C",
  mac          bytea NOT NULL CHECK (length(mac) = 32),
  UNIQUE (slot, seq)
);
CREATE INDEX audit_by_time ON audit (at);

-- Each data directory of a serving process: how many commits of it there are. A process that has seen more knows that some were lost.
CREATE TABLE processes (
  id      bytea  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  commits bigint NOT NULL
);

-- State generations, the last 64 of each data directory. Its witness file holds the newest.
CREATE TABLE generations (
  process bytea  NOT NULL REFERENCES processes (id) ON DELETE CASCADE,
  number  bigint NOT NULL,
  id      bytea  NOT NULL CHECK (length(id) = 16),
  made_at bigint NOT NULL,
  PRIMARY KEY (process, number)
);
