//! Opening the file: every connection alike, and none that makes a file of itself.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, StoreError, Trouble};
use crate::master_key::{make_directory, sync_directory};

/// How connections to one file are made.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// The database.
    pub(super) path: PathBuf,
    /// How long to wait for the lock of another process.
    pub(super) busy_timeout: Duration,
    /// The most pages the file may have; unbounded where none.
    pub(super) max_pages: Option<u32>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Reads only.
    Reader,
    /// The one that writes.
    Writer,
}

impl Connector {
    /// Makes the directory and an empty file, each for its owner alone, where they are not there. SQLite gives the
    /// files beside it (`-wal`, `-shm`) the same permissions.
    pub(super) fn make_file(&self) -> Result<(), StoreError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        make_directory(dir)?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path) {
            Ok(_) => sync_directory(dir),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(StoreError::file(&self.path, "create the database", &e)),
        }
    }

    /// A connection for `role`.
    pub(super) fn connect(&self, role: Role) -> Result<Connection, StoreError> {
        self.try_connect(role).map_err(|e| Trouble::Sql(e).at(&self.path))
    }

    pub(super) fn try_connect(&self, role: Role) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags)?;
        db.busy_timeout(self.busy_timeout)?;
        // As many as there are statements: none is parsed twice.
        db.set_prepared_statement_cache_capacity(128);
        // Nor because a value is another one: SQLite would plan anew for some, and parse the statement again for that.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // A full sync at every commit: what was answered outlives a power cut.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        // A damaged or hostile schema runs nothing of its own.
        db.pragma_update(None, "trusted_schema", false)?;
        db.pragma_update(None, "cell_size_check", true)?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        match role {
            Role::Reader => {
                db.pragma_update(None, "cache_size", -512)?;
                db.pragma_update(None, "query_only", true)?;
            }
            Role::Writer => {
                db.pragma_update(None, "cache_size", -4096)?;
                // The log is copied beside the writer's work; this is for the case that it cannot be.
                set(&db, "wal_autocheckpoint", 8192)?;
                set(&db, "journal_size_limit", 16 * 1024 * 1024)?;
                if let Some(pages) = self.max_pages {
                    set(&db, "max_page_count", i64::from(pages))?;
                }
            }
        }
        Ok(db)
    }

    /// Switches the file to write-ahead logging, where it is not yet; stays so.
    pub(super) fn use_wal(&self, db: &Connection) -> Result<(), StoreError> {
        let mode = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0));
        // SQLite does not wait for the lock here, to be safe from deadlock; two first starts at once would meet.
        let mut pauses = 200;
        loop {
            let now = mode("PRAGMA journal_mode").and_then(|now| match now.as_str() {
                "wal" => Ok(now),
                _ => mode("PRAGMA journal_mode = WAL"),
            });
            match now {
                Ok(mode) if mode == "wal" => return Ok(()),
                Ok(mode) => {
                    return Err(StoreError::Sqlite {
                        path: self.path.clone(),
                        fault: Fault::Other,
                        detail: format!("no write-ahead log here, only {mode}: is it a network disk?"),
                    });
                }
                Err(e) if Fault::of(&e) == Fault::Locked && pauses > 0 => {
                    pauses -= 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(e) => return Err(Trouble::Sql(e).at(&self.path)),
            }
        }
    }
}

/// Sets a pragma that answers with its new value.
fn set(db: &Connection, pragma: &str, value: i64) -> rusqlite::Result<()> {
    db.pragma_update_and_check(None, pragma, value, |_| Ok(()))
}

/// A connector to an empty file in a directory of its own, which goes with the first of the two.
#[cfg(test)]
pub(super) fn to_an_empty_file() -> (tempfile::TempDir, Connector) {
    let dir = tempfile::tempdir().unwrap();
    let connector =
        Connector { path: dir.path().join("a.db"), busy_timeout: Duration::ZERO, max_pages: None };
    connector.make_file().unwrap();
    (dir, connector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_syncs_in_full_and_readers_only_read() {
        let (_dir, connector) = to_an_empty_file();
        for role in [Role::Writer, Role::Reader] {
            let db = connector.connect(role).unwrap();
            connector.use_wal(&db).unwrap();
            let number =
                |pragma: &str| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap();
            // 2 is FULL: every commit of the write-ahead log is synced before it is answered.
            assert_eq!((number("synchronous"), number("foreign_keys")), (2, 1), "{role:?}");
            assert_eq!(db.execute_batch("CREATE TABLE t (x)").is_ok(), role == Role::Writer, "{role:?}");
        }
    }
}
