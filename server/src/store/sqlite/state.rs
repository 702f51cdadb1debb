//! The state of the whole file, from the one row of `meta`, and the master key that it was sealed with.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rusqlite::Connection;

use super::installation::Installation;
use super::read::first;
use super::transaction_error::TransactionError;
use crate::secrets::SecretsError;
use crate::secrets::files::with_suffix;
use crate::secrets::master_key::MasterKey;
use crate::store::error::StoreError;
use crate::store::rows::{self, Columns, NO_META};

/// The state of the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The generation of the signing keys.
    pub(super) key_generation: u64,
    /// The epoch; what was issued in another is refused.
    pub(super) epoch: u64,
    /// The number of the master key.
    pub(super) master_key: u64,
    /// True if the state was handed over to another machine.
    pub(super) handed_over: bool,
}

impl State {
    pub(super) fn read(db: &Connection) -> Result<Self, TransactionError> {
        let sql = "SELECT generation, state_epoch, master_key_id, handover IS NOT NULL AND copied_at IS NULL FROM meta";
        let read = |row: &rusqlite::Row<'_>| {
            let mut c = Columns::of(row, "meta");
            Ok(Self {
                key_generation: c.number("generation")?,
                epoch: c.number("state_epoch")?,
                master_key: c.number("master_key_id")?,
                handed_over: c.number("handover")? != 0,
            })
        };
        first(db, sql, [], read)?.ok_or(NO_META.into())
    }
}

/// Returns the error that says that the state was handed over.
pub(super) fn handed_over(db: &Connection) -> TransactionError {
    match db.query_row("SELECT handover FROM meta", [], |row| row.get(0)) {
        Ok(id) => TransactionError::Refused(StoreError::HandedOver(id)),
        Err(error) => TransactionError::Sql(error),
    }
}

/// The master key in use. It is read again when its number in the file has changed.
pub(super) struct MasterKeys {
    installation: Installation,
    current: ArcSwap<(u64, Arc<MasterKey>)>,
}

impl MasterKeys {
    /// Finds the key that the file was sealed with.
    pub(super) fn find(installation: &Installation, db: &Connection) -> Result<Self, StoreError> {
        let found = look_up(installation, db).map_err(|trouble| trouble.at(&installation.database()))?;
        Ok(Self { installation: installation.clone(), current: ArcSwap::from_pointee(found) })
    }

    /// Returns the key as it was last read.
    pub(super) fn current(&self) -> Arc<MasterKey> {
        Arc::clone(&self.current.load().1)
    }

    /// Returns the key of the snapshot or transaction of `db`.
    pub(super) fn of(&self, db: &Connection, state: &State) -> Result<Arc<MasterKey>, TransactionError> {
        let current = self.current.load();
        if current.0 == state.master_key {
            return Ok(Arc::clone(&current.1));
        }
        let found = look_up(&self.installation, db)?;
        tracing::info!(file = %found.1.file().display(), "the master key was replaced and read again");
        let key = Arc::clone(&found.1);
        self.current.store(Arc::new(found));
        Ok(key)
    }
}

/// Finds the key that sealed the file's check: at its path, beside it if a change was interrupted, or where it was
/// moved to.
fn look_up(installation: &Installation, db: &Connection) -> Result<(u64, Arc<MasterKey>), TransactionError> {
    let sql = "SELECT master_key_id, master_check, master_key_file FROM meta";
    let read = |row: &rusqlite::Row<'_>| {
        let mut c = Columns::of(row, "meta");
        let number = c.number("master_key_id")?;
        Ok((number, c.blob("master_check")?.into_owned(), c.maybe("master_key_file", rows::owned)?))
    };
    let (number, check, elsewhere) = first(db, sql, [], read)?.ok_or(NO_META)?;
    let key =
        find_key(installation, &check, elsewhere.map(PathBuf::from)).map_err(TransactionError::Refused)?;
    Ok((number, Arc::new(key)))
}

/// Finds the key that sealed `check`.
pub(in crate::store) fn find_key(
    installation: &Installation,
    check: &[u8],
    elsewhere: Option<PathBuf>,
) -> Result<MasterKey, StoreError> {
    let path = installation.master_key();
    let places = [Some(path.clone()), Some(with_suffix(&path, ".new")), elsewhere];
    let mut error = None;
    // The first path once more: another process may be moving the key there.
    for place in places.into_iter().flatten().chain([path.clone()]) {
        let why = match MasterKey::read(&*installation.files, &place) {
            Ok(key) if key.is_of(check) => return Ok(key),
            Ok(_) => match &installation.server {
                None => StoreError::MasterKeyWrong { database: installation.records(), key: place },
                Some(server) => StoreError::MasterKeyOld { key: place, address: server.address.to_string() },
            },
            Err(SecretsError::Missing(key)) => match &installation.server {
                None => StoreError::MasterKeyMissing { key, database: Some(installation.database()) },
                Some(server) => StoreError::MasterKeyNotCopied { key, address: server.address.to_string() },
            },
            Err(other) => other.into(),
        };
        // The error of the usual path helps most.
        error.get_or_insert(why);
    }
    Err(error.unwrap_or(StoreError::MasterKeyMissing { key: path, database: None }))
}

/// The columns of the table that a transaction needs.
#[cfg(test)]
pub(super) const META: &str = "CREATE TABLE meta (commits INTEGER, commit_id BLOB, parent_id BLOB, generation INTEGER, \
     state_epoch INTEGER, master_key_id INTEGER, handover TEXT, copied_at INTEGER); \
     INSERT INTO meta VALUES (0, NULL, NULL, 1, 0, 1, NULL, NULL)";

#[cfg(test)]
impl MasterKeys {
    /// Some key, with number 1.
    pub(super) fn for_test() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let installation = Installation::at(dir.path());
        let key = MasterKey::create(&*installation.files, &installation.master_key()).unwrap();
        Self { installation, current: ArcSwap::from_pointee((1, Arc::new(key))) }
    }
}
