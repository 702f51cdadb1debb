-- Schema 10. It is not released yet: sections are added and changed here. What one adds, ../../../../tests/store/to_schema_6.sql undoes.

-- ## Roles of administration
-- 1 for the operator, 2 for the officer, 4 for the auditor, added up.
ALTER TABLE users ADD COLUMN roles INTEGER NOT NULL DEFAULT 0 CHECK (roles BETWEEN 0 AND 7);
ALTER TABLE clients ADD COLUMN roles INTEGER NOT NULL DEFAULT 0 CHECK (roles BETWEEN 0 AND 7);

CREATE INDEX users_with_roles ON users (seq) WHERE roles <> 0;
CREATE INDEX clients_with_roles ON clients (seq) WHERE roles <> 0;

-- Who administered over HTTP, and the roles that somebody has since. Rows from before have none of it, and hash as they did.
ALTER TABLE audit ADD COLUMN by_user TEXT;
ALTER TABLE audit ADD COLUMN by_client TEXT;
ALTER TABLE audit ADD COLUMN roles TEXT;

-- ## One signing key for each algorithm
-- The algorithm that a client chooses. A key that is beside the default key signs for the clients alone that choose its algorithm.
-- `retire_from` is the time from which nothing is good that a key signed; a day is longer than any token of before lives.
ALTER TABLE clients ADD COLUMN signing_algorithm TEXT;
CREATE INDEX clients_by_signing_algorithm ON clients (signing_algorithm) WHERE signing_algorithm IS NOT NULL;
ALTER TABLE keys ADD COLUMN beside INTEGER NOT NULL DEFAULT 0 CHECK (beside IN (0, 1));
ALTER TABLE keys ADD COLUMN retire_from INTEGER;
UPDATE keys SET retire_from = (SELECT clock_mark FROM meta) + 86400 WHERE state = 'verifying-only';
DROP INDEX one_key_signs;
CREATE UNIQUE INDEX one_key_of_an_algorithm_signs ON keys (alg) WHERE state = 'signing';
CREATE UNIQUE INDEX one_key_is_the_default ON keys (beside) WHERE state = 'signing' AND beside = 0;

-- ## Keys and assertions of clients
-- The public keys of a client as a JWK set; NULL where it has none.
ALTER TABLE clients ADD COLUMN jwks TEXT;

-- SHA-256 over a client and the `jti` of an assertion that it has used.
CREATE TABLE used_assertions (
  digest     BLOB    PRIMARY KEY CHECK (length(digest) = 32),
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);

-- ## Secrets of clients have names
ALTER TABLE client_secrets ADD COLUMN id TEXT NOT NULL DEFAULT '';
UPDATE client_secrets SET id = 'sec_' || lower(hex(randomblob(8)));
