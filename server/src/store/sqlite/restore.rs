//! Puts a copy in the place of the database: proved first, never over an existing one, whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::connect::{Connector, Role};
use super::installation::{Installation, Presence};
use super::lineage::Fit;
use super::open::{self, free_name};
use super::transaction_error::TransactionError;
use super::{BackupReport, Store, StoreOptions, backup, identifiers, schema};
use crate::clock::wall;
use crate::secrets::SecretsError;
use crate::secrets::files::{Files, make_directory, replace, with_suffix};
use crate::secrets::master_key::{MasterKey, hex};
use crate::secrets::random::random;
use crate::store::backend::{Access, OnProgress, Upkeep as _};
use crate::store::error::{SqliteErrorKind, StoreError};
use crate::store::notice::Notice;

const PATIENCE: Duration = Duration::from_secs(30);

/// The result of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The copy that was restored.
    pub backup: BackupReport,
    /// The path of the former database.
    pub replaced: Option<PathBuf>,
    /// The notices. There is none yet without a master key: then the next start takes the copy into use.
    pub notices: Vec<Notice>,
    /// True if the copy was taken into use.
    pub taken: bool,
}

/// Returns the content of the file of an accepted handover, once its copy has been put in place.
pub(super) fn bound(id: &str, commit_id: &[u8; 16]) -> String {
    format!("{id} {}\n", *hex(commit_id))
}

/// Makes the id with which another machine may hand its installation over to this directory, once.
///
/// # Errors
/// [`StoreError`] if it cannot be written.
pub fn accept(installation: &Installation) -> Result<String, StoreError> {
    make_directory(&installation.dir)
        .map_err(|e| StoreError::file(&installation.dir, "create the data directory", &e))?;
    let _locked = installation.lock_directory(PATIENCE)?;
    let id = hex(&*random::<16>()?);
    let path = installation.accept();
    replace(&*installation.files, &path, format!("{}\n", *id).as_bytes())
        .map_err(|e| StoreError::file(&path, "write", &e))?;
    Ok(id.to_string())
}

/// Puts the copy in `from` in the place of the database. An existing database is kept beside it if `replace_it` is
/// true; otherwise nothing is done.
///
/// # Errors
/// [`StoreError`] if the copy is not whole or not of the master key, the directory is in use, or there is a database.
pub fn restore(
    installation: &Installation,
    from: &Path,
    replace_it: bool,
    progress: &mut OnProgress<'_>,
) -> Result<Restored, StoreError> {
    let report = backup::prove(installation, from, progress)?;
    require_key(installation, from, &report)?;
    make_directory(&installation.dir)
        .map_err(|e| StoreError::file(&installation.dir, "create the data directory", &e))?;
    let replaced = {
        let _locked = installation.lock_directory(PATIENCE)?;
        let presence = installation.enter(true)?;
        if !presence.as_ref().is_some_and(Presence::is_alone) {
            return Err(StoreError::InUse(installation.database()));
        }
        let contents = installation.contents()?;
        let is_there = contents.database.is_some_and(|size| size > 0) || contents.has_log();
        if is_there && !replace_it {
            return Err(StoreError::FileExists(installation.database()));
        }
        let files = &*installation.files;
        let draft = with_suffix(&installation.database(), ".restoring");
        // Read back, so that exactly what was proved is put in place.
        let copied = copy(installation, from, &draft, progress)
            .and_then(|commit_id| backup::prove(installation, &draft, progress).map(|_| commit_id));
        let commit_id = match copied {
            Ok(commit_id) => commit_id,
            Err(error) => {
                // The room may be needed for the existing files.
                let _ = backup::remove_all(files, &draft);
                return Err(error);
            }
        };
        let replaced = if is_there { set_aside(installation)? } else { None };
        bind(installation, &report, &commit_id)?;
        let failed = |e: &io::Error| StoreError::file(&installation.database(), "replace", e);
        files.rename(&draft, &installation.database()).map_err(|e| failed(&e))?;
        files.sync_directory(&installation.dir).map_err(|e| failed(&e))?;
        replaced
    };
    if !report.chain_verified {
        return Ok(Restored { backup: report, replaced, notices: Vec::new(), taken: false });
    }
    let store = Store::open(installation, Access::Write, &StoreOptions::default())?;
    let notices = store.notices().to_vec();
    store.close()?;
    Ok(Restored { backup: report, replaced, notices, taken: true })
}

/// Checks that an existing master key is the one that the copy was made with.
fn require_key(installation: &Installation, from: &Path, report: &BackupReport) -> Result<(), StoreError> {
    if report.chain_verified {
        return Ok(());
    }
    let key = installation.master_key();
    match MasterKey::read(&*installation.files, &key) {
        // It may be put there later.
        Err(SecretsError::Missing(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(StoreError::MasterKeyWrong { database: from.to_owned(), key }),
    }
}

/// Copies `from` to `draft`, updates its schema and marks it as a copy. Returns the id of its last transaction, which
/// no other copy has.
fn copy(
    installation: &Installation,
    from: &Path,
    draft: &Path,
    progress: &mut OnProgress<'_>,
) -> Result<[u8; 16], StoreError> {
    let files: &dyn Files = &*installation.files;
    let at = |e: rusqlite::Error| TransactionError::Sql(e).at(draft);
    let source = backup::open_copy(from)?;
    let mut db = backup::copy_pages(&source, draft, files, progress)?;
    let schema::Version::Schema(found) = schema::version(&db).map_err(at)? else {
        return Err(StoreError::Foreign(from.to_owned()));
    };
    let tx = db.transaction().map_err(at)?;
    if found < schema::known() {
        schema::bring_up_to_date(&tx, found).map_err(at)?;
    }
    backup::mark(&tx, wall()).map_err(at)?;
    tx.commit().map_err(at)?;
    identifiers::make(&mut db, None).map_err(|trouble| trouble.at(draft))?;
    let commit_id = db.query_row("SELECT commit_id FROM meta", [], |row| row.get(0)).map_err(at)?;
    db.close().map_err(|(_, e)| at(e))?;
    files.sync(draft).map_err(|e| StoreError::file(draft, "sync", &e))?;
    Ok(commit_id)
}

/// Keeps the existing database under another name. A log that belongs to it goes into it first; another log is kept
/// beside it.
fn set_aside(installation: &Installation) -> Result<Option<PathBuf>, StoreError> {
    let files = &*installation.files;
    let (database, log) = (installation.database(), installation.log());
    let aside = free_name(installation, ".replaced")?;
    let failed = |e: &io::Error| StoreError::file(&aside, "write", e);
    let contents = installation.contents()?;
    if contents.has_log() && matches!(open::fit(installation), Ok(Fit::Fits | Fit::NothingToReplay)) {
        let connector = Connector::new(database.clone(), &installation.files, &StoreOptions::default());
        let emptied = connector
            .connect(Role::Alone)
            .and_then(|db| open::close(db).map_err(|e| TransactionError::Sql(e).at(&database)));
        if let Err(error) = emptied {
            // A damaged database keeps its log. After other errors nothing is lost, and it can be tried again.
            let is_damaged = matches!(
                error,
                StoreError::Sqlite {
                    fault: SqliteErrorKind::Corrupt | SqliteErrorKind::NotADatabase | SqliteErrorKind::Other,
                    ..
                }
            );
            if !is_damaged {
                return Err(error);
            }
        }
    }
    let is_there = contents.database.is_some_and(|size| size > 0);
    if is_there {
        match files.link(&database, &aside) {
            // Some file systems have no links. Until the copy has the name, the old file has the other one.
            Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                files.rename(&database, &aside).map_err(|e| failed(&e))?;
            }
            linked => linked.map_err(|e| failed(&e))?,
        }
    }
    if installation.contents()?.has_log() {
        // Under a name that SQLite does not take for the log of a file.
        files.rename(&log, &with_suffix(&aside, ".log")).map_err(|e| failed(&e))?;
    }
    for left in [&log, &installation.log_index()] {
        match files.remove(left) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::file(left, "remove", &e));
            }
            Ok(()) | Err(_) => {}
        }
    }
    files.sync_directory(&installation.dir).map_err(|e| failed(&e))?;
    Ok(Some(aside).filter(|_| is_there))
}

/// Binds the accepted id to this copy alone.
fn bind(installation: &Installation, report: &BackupReport, commit_id: &[u8; 16]) -> Result<(), StoreError> {
    let Some(id) = &report.handover else { return Ok(()) };
    let (files, path) = (&*installation.files, installation.accept());
    // Bound again, if putting the copy in place was interrupted: the id is removed when a copy is taken.
    let accepted = files.read(&path, 1024).is_ok_and(|text| {
        text.split(|byte| b" \n".contains(byte)).next().is_some_and(|first| *first == *id.as_bytes())
    });
    if !accepted {
        return Ok(());
    }
    replace(files, &path, bound(id, commit_id).as_bytes()).map_err(|e| StoreError::file(&path, "write", &e))
}
