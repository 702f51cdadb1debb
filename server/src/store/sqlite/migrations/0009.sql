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
