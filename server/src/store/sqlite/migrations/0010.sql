-- Schema 10. It is not released yet: sections are added and changed here. What one adds, ../../../../tests/store/to_schema_6.sql undoes.

-- ## Roles of administration
-- 1 for the operator, 2 for the officer, 4 for the auditor, added up.
ALTER TABLE users ADD COLUMN roles INTEGER NOT NULL DEFAULT 0 CHECK (roles BETWEEN 0 AND 7);
ALTER TABLE clients ADD COLUMN roles INTEGER NOT NULL DEFAULT 0 CHECK (roles BETWEEN 0 AND 7);

-- Who administered over HTTP, and the roles that somebody has since. Rows from before have none of it, and hash as they did.
ALTER TABLE audit ADD COLUMN by_user TEXT;
ALTER TABLE audit ADD COLUMN by_client TEXT;
ALTER TABLE audit ADD COLUMN roles TEXT;
