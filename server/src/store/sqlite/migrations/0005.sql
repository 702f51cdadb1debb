-- Fewer pages for each sign-in, however large the file.

-- Digests are looked for newest first, 256 seconds' worth at a time: those that are written together lie together. A
-- ticket outlives its user, who is then not there to be signed in; so nothing has to find the tickets of one.
CREATE TABLE tickets_now (
  seq          INTEGER PRIMARY KEY,
  id           TEXT    NOT NULL UNIQUE,
  digest       BLOB    NOT NULL CHECK (length(digest) = 32),
  user_id      TEXT    NOT NULL,
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
INSERT INTO tickets_now SELECT seq, id, digest, user_id, client_id, issuer, for_audience, bind, scope, client_ip, actor,
  reason, issued_at, expires_at, spent_at, revoked_at FROM tickets;
DROP TABLE tickets;
ALTER TABLE tickets_now RENAME TO tickets;
CREATE UNIQUE INDEX tickets_by_digest ON tickets (issued_at / 256, digest);
CREATE INDEX tickets_by_expiry ON tickets (expires_at);

-- What is remembered of somebody's sign-ins, in one row: each reads all of it, and changes most.
CREATE TABLE habits (
  user_id  TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  hours    TEXT NOT NULL,   -- a JSON array: how often in each hour of the day
  places   TEXT NOT NULL,   -- a JSON array of [device, network, last time], the latest first
  failures TEXT NOT NULL    -- a JSON array of times, the latest first
) STRICT, WITHOUT ROWID;
INSERT INTO habits
  WITH RECURSIVE hours (hour) AS (SELECT 0 UNION ALL SELECT hour + 1 FROM hours WHERE hour < 23)
  SELECT id,
    (SELECT json_group_array(coalesce(times, 0)) FROM
      (SELECT times FROM hours LEFT JOIN sign_in_hours h ON h.user_id = id AND h.hour = hours.hour ORDER BY hours.hour)),
    (SELECT json_group_array(json_array(lower(hex(device)), network, last_at)) FROM
      (SELECT * FROM known_places p WHERE p.user_id = id ORDER BY last_at DESC, device, network)),
    (SELECT json_group_array(at) FROM (SELECT at FROM sign_in_failures f WHERE f.user_id = id ORDER BY seq DESC))
  FROM users WHERE id IN
    (SELECT user_id FROM known_places UNION SELECT user_id FROM sign_in_hours UNION SELECT user_id FROM sign_in_failures);
DROP TABLE known_places;
DROP TABLE sign_in_hours;
DROP TABLE sign_in_failures;
