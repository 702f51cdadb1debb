-- Schema 9. It is not released yet: sections are added and changed here. What one adds, ../../../../tests/store/to_schema_6.sql undoes.

-- ## Clients that are believed about the person before them
ALTER TABLE clients ADD COLUMN trusted_context INTEGER NOT NULL DEFAULT 0 CHECK (trusted_context IN (0, 1));

-- ## Who and which request
-- The client that issued a ticket and the user whose token it used, the id of the request and the one that the caller gave to it,
-- and the user of the operating system who ran a command. Rows from before have none of it, and hash as they did.
ALTER TABLE audit ADD COLUMN issuer TEXT;
ALTER TABLE audit ADD COLUMN issuer_user TEXT;
ALTER TABLE audit ADD COLUMN request TEXT;
ALTER TABLE audit ADD COLUMN sent_request TEXT;
ALTER TABLE audit ADD COLUMN operator TEXT;

-- ## Whose word an address is
-- The client that stated the address of the person before it, and the address that the client's own request came from.
ALTER TABLE audit ADD COLUMN stated_by TEXT;
ALTER TABLE audit ADD COLUMN peer TEXT;

-- ## Known places
-- A JSON array of [password, codes], one for each of the latest places in their order, each [wrong, locks, locked until]; empty where
-- nothing is counted.
ALTER TABLE habits ADD COLUMN lockouts TEXT NOT NULL DEFAULT '[]';

-- ## Identifiers
-- User names, e-mail addresses and telephone numbers in the form in which they are compared. The rows are made from those of `users`
-- afterwards, in batches: see identifiers.rs.
CREATE TABLE identifiers (
  user      INTEGER NOT NULL REFERENCES users (seq) ON DELETE CASCADE,
  kind      TEXT    NOT NULL CHECK (kind IN ('username', 'email', 'phone')),
  canonical TEXT    NOT NULL,
  PRIMARY KEY (user, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifiers_by_canonical ON identifiers (canonical);
DROP INDEX users_by_email;
DROP INDEX users_by_phone;

-- Forms that several users had when the rows were made. New ones are refused.
CREATE TABLE ambiguous_identifiers (canonical TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- The rules and the numbering plan that the rows are made by, and the user up to whom they are; NULL when all are.
ALTER TABLE meta ADD COLUMN identifier_rules TEXT;
ALTER TABLE meta ADD COLUMN numbering_plan TEXT;
ALTER TABLE meta ADD COLUMN identifiers_made INTEGER;

-- ## When a secret was last used
ALTER TABLE client_secrets ADD COLUMN last_used_at INTEGER;
