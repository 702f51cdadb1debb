//! Creates an installation, in a way that survives an interruption at any point.

use std::io;

use super::connect::{Connector, Role};
use super::installation::{Installation, Presence};
use super::open::{PATIENCE, close, require_database};
use super::start::make_marker;
use super::transaction_error::TransactionError;
use super::{StoreOptions, backup, schema};
use crate::secrets::SecretsError;
use crate::secrets::files::with_suffix;
use crate::secrets::master_key::MasterKey;
use crate::store::error::StoreError;

/// Creates an installation if there is none: a master key, unless it is elsewhere, and an empty database. A key in the
/// directory is used if `beside_key` is true.
pub(super) fn create(
    installation: &Installation,
    options: &StoreOptions,
    beside_key: bool,
) -> Result<(), StoreError> {
    let files = &*installation.files;
    let dir = &installation.dir;
    crate::secrets::files::make_directory(dir).map_err(|e| {
        if e.kind() == io::ErrorKind::NotADirectory {
            return StoreError::NotADirectory(dir.clone());
        }
        StoreError::file(dir, "create the data directory", &e)
    })?;
    let _locked = installation.lock_directory(PATIENCE)?;
    installation.require_whole_copy()?;
    let contents = installation.contents()?;
    let mut left = contents;
    left.master_key &= !(beside_key || contents.starting);
    if contents.database.is_some_and(|size| size > 0) && contents.starting {
        // Only later steps were interrupted, and opening completes them.
        return Ok(());
    }
    if !left.is_empty() {
        require_database(installation, &contents)?;
        // Another process was faster.
        return Ok(());
    }
    let presence = installation.enter(true)?;
    if !presence.as_ref().is_some_and(Presence::is_alone) {
        return Err(StoreError::Busy(dir.clone()));
    }
    let failed = |path: &std::path::Path, e: &io::Error| StoreError::file(path, "create", e);
    make_marker(installation)?;
    let key = installation.master_key();
    let master = match MasterKey::read(files, &key) {
        Err(SecretsError::Missing(_)) if installation.master_key_file.is_none() => {
            MasterKey::create(files, &key)?
        }
        read => read?,
    };
    if contents.starting {
        MasterKey::remove_draft(files, &key)?;
    }
    let (path, draft) = (installation.database(), with_suffix(&installation.database(), ".new"));
    backup::remove_all(files, &draft)?;
    files.write_new(&draft, b"").map_err(|e| failed(&draft, &e))?;
    let at = |trouble: TransactionError| trouble.at(&draft);
    {
        let connector = Connector::new(draft.clone(), &installation.files, options);
        let mut db = connector.connect(Role::Alone)?;
        connector.use_wal(&db)?;
        let tx = db.transaction().map_err(|e| at(e.into()))?;
        schema::make(&tx, &master).map_err(at)?;
        tx.commit().map_err(|e| at(e.into()))?;
        close(db).map_err(|e| at(e.into()))?;
    }
    files.sync(&draft).map_err(|e| failed(&draft, &e))?;
    files.rename(&draft, &path).map_err(|e| failed(&path, &e))?;
    files.sync_directory(dir).map_err(|e| failed(&path, &e))
}
