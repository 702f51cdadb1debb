//! Opens the file: every connection has the same settings, none creates a file, and none opens another file than the
//! first did.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::StoreOptions;
use super::transaction_error::TransactionError;
use crate::secrets::files::{Files, with_suffix};
use crate::store::error::{SqliteErrorKind, StoreError};

/// A factory of connections to one file.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    /// The database.
    pub(super) path: PathBuf,
    files: Arc<dyn Files>,
    /// The time to wait for the lock of another process.
    busy_timeout: Duration,
    /// The most pages the file may have; none for no limit.
    max_pages: Option<u32>,
    identity: Arc<OnceLock<Identity>>,
    replaced: Arc<AtomicBool>,
}

/// Device and inode of the database, its log and the log's index; none if there was no such file, which is then not
/// compared.
type Identity = [Option<(u64, u64)>; 3];

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Reads only. Closing it leaves the log as it is.
    Reader,
    /// The connection that writes.
    Writer,
    /// Writes now and then. It keeps few pages.
    Occasional,
    /// Writes, and lets no other process open the file, earlier versions included.
    Alone,
}

impl Connector {
    pub(super) fn new(path: PathBuf, files: &Arc<dyn Files>, options: &StoreOptions) -> Self {
        Self {
            path,
            files: Arc::clone(files),
            busy_timeout: options.busy_timeout,
            max_pages: options.max_pages,
            identity: Arc::default(),
            replaced: Arc::default(),
        }
    }

    /// Remembers the files that are open now. Call it once, while a connection holds them. A reader compares the
    /// database alone: its log comes and goes with the writers.
    pub(super) fn remember(&self, role: Role) -> Result<(), StoreError> {
        let mut identity = self.look()?;
        if role == Role::Reader {
            let [_, beside @ ..] = &mut identity;
            *beside = [None; 2];
        }
        let _ = self.identity.set(identity);
        Ok(())
    }

    /// Checks that the files under their paths are those that are open. It only looks at the paths: opening a file a
    /// second time and closing it would drop SQLite's locks.
    pub(super) fn verify(&self) -> Result<(), StoreError> {
        let Some(opened) = self.identity.get() else { return Ok(()) };
        let found = self.look();
        let same = |found: &Identity| {
            found.iter().zip(opened).all(|(found, opened)| opened.is_none() || found == opened)
        };
        let replaced = !found.as_ref().is_ok_and(same);
        if self.replaced.swap(replaced, Relaxed) != replaced {
            if replaced {
                tracing::error!(
                    path = %self.path.display(),
                    "the database or its log is not the file that is open any more: nothing is written until it is put back, or gatepass is started again"
                );
            } else {
                tracing::warn!(path = %self.path.display(), "the files that are open are back in their place");
            }
        }
        if replaced { Err(StoreError::Replaced(self.path.clone())) } else { Ok(()) }
    }

    /// Returns true if the files under their paths were others at the last check.
    pub(super) fn is_replaced(&self) -> bool {
        self.replaced.load(Relaxed)
    }

    fn look(&self) -> Result<Identity, StoreError> {
        let mut identity = [None; 3];
        for (found, suffix) in identity.iter_mut().zip(["", "-wal", "-shm"]) {
            let path = with_suffix(&self.path, suffix);
            match self.files.about(&path) {
                Ok(about) => *found = Some(about.identity),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(StoreError::file(&path, "look at", &e)),
            }
        }
        Ok(identity)
    }

    /// Opens a connection for `role`.
    pub(super) fn connect(&self, role: Role) -> Result<Connection, StoreError> {
        // The file is not even opened: SQLite would make a log if there is none, or take the log beside a copy for the
        // copy's own, copy it there when it closes, and remove it.
        self.verify()?;
        let db = self.try_connect(role).map_err(|e| TransactionError::Sql(e).at(&self.path))?;
        if self.identity.get().is_some() {
            // The first read opens the log; only then is it known which files these are.
            let read = db.query_row("SELECT count(*) FROM meta", [], |_| Ok(()));
            let verified =
                read.map_err(|e| TransactionError::Sql(e).at(&self.path)).and_then(|()| self.verify());
            if let Err(error) = verified {
                // The file was replaced since. Closing it must not copy or remove a log.
                let _ = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                return Err(error);
            }
        }
        Ok(db)
    }

    fn try_connect(&self, role: Role) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags)?;
        db.busy_timeout(self.busy_timeout)?;
        // Room for every statement, so that none is parsed twice.
        db.set_prepared_statement_cache_capacity(128);
        // Nor because a value differs: SQLite would plan again for some, and parse the statement again for that.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // A full sync at every commit: answered changes survive a power cut.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        // A damaged or hostile schema runs nothing of its own.
        db.pragma_update(None, "trusted_schema", false)?;
        db.pragma_update(None, "cell_size_check", true)?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        match role {
            Role::Reader => {
                db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                db.pragma_update(None, "cache_size", -512)?;
                db.pragma_update(None, "query_only", true)?;
            }
            Role::Writer | Role::Occasional | Role::Alone => {
                db.pragma_update(None, "cache_size", if role == Role::Occasional { -128 } else { -4096 })?;
                // The checkpoint thread copies the log; this is for the case that it cannot.
                set(&db, "wal_autocheckpoint", 8192)?;
                set(&db, "journal_size_limit", 16 * 1024 * 1024)?;
                if let Some(pages) = self.max_pages {
                    set(&db, "max_page_count", i64::from(pages))?;
                }
            }
        }
        if role == Role::Alone {
            db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        Ok(db)
    }

    /// Switches the file to write-ahead logging, if it is not yet; this is permanent.
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
                        fault: SqliteErrorKind::Other,
                        detail: format!("no write-ahead log here, only {mode}: is it a network disk?"),
                    });
                }
                Err(e) if SqliteErrorKind::of(&e) == SqliteErrorKind::Locked && pauses > 0 => {
                    pauses -= 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(e) => return Err(TransactionError::Sql(e).at(&self.path)),
            }
        }
    }
}

/// Sets a pragma that returns its new value.
fn set(db: &Connection, pragma: &str, value: i64) -> rusqlite::Result<()> {
    db.pragma_update_and_check(None, pragma, value, |_| Ok(()))
}

/// Returns a connector to an empty file in a directory of its own, which is removed with the first of the two.
#[cfg(test)]
pub(super) fn to_an_empty_file() -> (tempfile::TempDir, Connector) {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { busy_timeout: Duration::ZERO, ..StoreOptions::default() };
    let files: Arc<dyn Files> = Arc::new(crate::secrets::files::SystemFiles);
    let connector = Connector::new(dir.path().join("a.db"), &files, &options);
    std::fs::write(&connector.path, "").unwrap();
    (dir, connector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_syncs_in_full_and_readers_only_read() {
        let (_dir, connector) = to_an_empty_file();
        for role in [Role::Writer, Role::Occasional, Role::Reader] {
            let db = connector.connect(role).unwrap();
            connector.use_wal(&db).unwrap();
            let number =
                |pragma: &str| db.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap();
            // 2 is FULL: every commit of the write-ahead log is synced before it is answered.
            assert_eq!((number("synchronous"), number("foreign_keys")), (2, 1), "{role:?}");
            let created = db.execute_batch("CREATE TABLE t (x); DROP TABLE t");
            assert_eq!(created.is_ok(), role != Role::Reader, "{role:?}");
        }
    }
}
