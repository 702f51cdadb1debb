-- State that is put back is noticed.

-- The state epoch is raised when older files have been put back. A ticket, session or challenge of another epoch than the
-- file's is refused.
ALTER TABLE tickets ADD COLUMN state_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN state_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE challenges ADD COLUMN state_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE meta ADD COLUMN state_epoch INTEGER NOT NULL DEFAULT 0;

-- The lineage: every transaction has an id of its own and names its parent's. So a log is known to belong to its file.
ALTER TABLE meta ADD COLUMN commit_id BLOB CHECK (length(commit_id) = 16);
ALTER TABLE meta ADD COLUMN parent_id BLOB CHECK (length(parent_id) = 16);

-- The installation stays the same in every copy of the file.
ALTER TABLE meta ADD COLUMN installation BLOB CHECK (length(installation) = 16);
UPDATE meta SET installation = randomblob(16), commit_id = randomblob(16);

-- The master key's number is raised when the key is replaced. The file is named where the new key is not at the old place.
ALTER TABLE meta ADD COLUMN master_key_id INTEGER NOT NULL DEFAULT 1;
ALTER TABLE meta ADD COLUMN master_key_file TEXT;

-- Where the server that started last has its witness, unless in the data directory: for commands that are not told.
ALTER TABLE meta ADD COLUMN witness_file TEXT;

-- The id of the handover, while this state is being moved to another box: nothing is written any more.
ALTER TABLE meta ADD COLUMN handover TEXT;
-- Set in a copy that `backup` made, until the copy is first opened for writing: when it was made.
ALTER TABLE meta ADD COLUMN copied_at INTEGER;

-- State generations, the last 64. The witness file holds the newest.
CREATE TABLE generations (
  number  INTEGER PRIMARY KEY,
  id      BLOB    NOT NULL CHECK (length(id) = 16),
  made_at INTEGER NOT NULL
) STRICT;
