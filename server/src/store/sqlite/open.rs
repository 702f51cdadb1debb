//! Opens an installation: every needed file exists, the log belongs to its file, the schema and the master key are the
//! right ones, and the files are the newest that were served.
//!
//! All of it happens while the directory is locked, so that no two processes decide at once.

use std::io;
use std::time::Duration;

use rusqlite::Connection;

use super::backup::in_one_line;
use super::connect::{Connector, Role};
use super::installation::{Contents, Installation, Presence};
use super::lineage::{self, Fit};
use super::migrate::{make_identifiers, migrate};
use super::schema::{self, Version};
use super::start::{Start, remove_marker};
use super::state::MasterKeys;
use super::transaction_error::TransactionError;
use super::{StoreOptions, identifiers, rotate, walk};
use crate::secrets::files::{exists, with_suffix};
use crate::store::audit_chain::Chain;
use crate::store::backend::Access;
use crate::store::error::StoreError;
use crate::store::notice::Notice;

/// The time that a start waits for another one.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An installation that was opened.
pub(super) struct Opened {
    pub(super) installation: Installation,
    pub(super) connector: Connector,
    /// Holds the files open, so that SQLite never removes the log under another connection.
    pub(super) anchor: Connection,
    pub(super) chain: Chain,
    pub(super) keys: MasterKeys,
    pub(super) presence: Option<Presence>,
    pub(super) notices: Vec<Notice>,
}

/// Opens an installation.
pub(super) fn open(
    installation: &Installation,
    access: Access,
    options: &StoreOptions,
) -> Result<Opened, StoreError> {
    match std::fs::metadata(&installation.dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(installation.nothing());
        }
        Err(e) => return Err(StoreError::file(&installation.dir, "read the data directory", &e)),
        Ok(about) if !about.is_dir() => return Err(StoreError::NotADirectory(installation.dir.clone())),
        Ok(_) => {}
    }
    let _locked = installation.lock_directory(PATIENCE)?;
    installation.require_whole_copy()?;
    let contents = installation.contents()?;
    require_database(installation, &contents)?;
    let mut presence = installation.enter(false)?;
    let alone = presence.as_mut().is_none_or(Presence::try_alone);
    // SQLite would apply the log of a running server to any file under the path.
    let replaced = installation.is_replaced()?;
    if replaced && !alone {
        return Err(StoreError::Replaced(installation.database()));
    }
    let connector = Connector::new(installation.database(), &installation.files, options);
    let fit = if alone && contents.has_log() { fit(installation)? } else { Fit::Fits };
    if fit == Fit::Unreadable {
        require_whole(&connector)?;
    }
    let (older, identifiers_are_due) = due(&connector, access, options)?;
    if presence.is_none() && access != Access::Read {
        // Created now that the file is known to be ours. The directory is locked, so no other process has created it
        // since.
        presence = installation.enter(true)?;
    }
    if replaced && access != Access::Read {
        installation.forget_server()?;
    }
    if let Some(found) = older {
        if !alone {
            return Err(StoreError::InUse(connector.path.clone()));
        }
        migrate(installation, &connector, found)?;
    }
    if identifiers_are_due {
        if !alone {
            return Err(StoreError::InUse(connector.path.clone()));
        }
        make_identifiers(installation, &connector, options.numbering_plan.as_ref())?;
    }
    let role = if access == Access::Read { Role::Reader } else { Role::Occasional };
    let anchor = connector.connect(role)?;
    if access != Access::Read {
        connector.use_wal(&anchor)?;
    }
    let installation = &with_witness(installation, access, &anchor)?;
    let mut keys = MasterKeys::find(installation, &anchor)?;
    if access != Access::Read && rotate::finish(installation, &keys.current())? {
        keys = MasterKeys::find(installation, &anchor)?;
    }
    let master = keys.current();
    let chain = schema::chain(&anchor, &connector.path, &master)?.operated_by(installation.operator.clone());
    if fit == Fit::Unreadable {
        let verdict =
            walk::verify(&chain, &anchor, schema::known()).map_err(|trouble| trouble.at(&connector.path))?;
        if let Some(broken) = verdict.broken {
            let problem = format!("audit chain: {broken}");
            return Err(StoreError::NotWhole { path: connector.path, problem });
        }
    }
    connector.remember(role)?;
    let mut notices = Vec::new();
    if access != Access::Read {
        let start = Start { installation, db: &anchor, chain: &chain, master: &master, access, alone };
        start.settle(contents.starting, &mut notices)?;
        remove_marker(installation)?;
        if access == Access::Serve {
            let count =
                identifiers::count_ambiguous(&anchor).map_err(|trouble| trouble.at(&connector.path))?;
            notices.extend((count > 0).then_some(Notice::AmbiguousIdentifiers(count)));
        }
    }
    if let Some(presence) = &mut presence {
        presence.share();
    }
    Ok(Opened { installation: installation.clone(), connector, anchor, chain, keys, presence, notices })
}

/// Returns the installation with its server's witness, if the command does not name one.
fn with_witness(
    installation: &Installation,
    access: Access,
    db: &Connection,
) -> Result<Installation, StoreError> {
    let mut installation = installation.clone();
    if access != Access::Serve && installation.witness_file.is_none() {
        let known: Option<String> = db
            .query_row("SELECT witness_file FROM meta", [], |row| row.get(0))
            .map_err(|e| TransactionError::Sql(e).at(&installation.database()))?;
        installation.witness_file = known.map(Into::into);
    }
    Ok(installation)
}

/// Checks that the database is not empty, before anything is changed.
pub(super) fn require_database(installation: &Installation, contents: &Contents) -> Result<(), StoreError> {
    if contents.database.is_some_and(|size| size > 0) {
        return Ok(());
    }
    let beside = if contents.has_log() {
        installation.log()
    } else if contents.master_key && !contents.starting {
        installation.master_key()
    } else if contents.witness {
        installation.witness()
    } else if contents.database.is_some() {
        installation.database()
    } else {
        return Err(installation.nothing());
    };
    Err(StoreError::DatabaseMissing { database: installation.database(), beside })
}

/// Compares file and log; an error if they do not belong together.
pub(super) fn fit(installation: &Installation) -> Result<Fit, StoreError> {
    let (database, log) = (installation.database(), installation.log());
    let failed = |path: &std::path::Path, e: &io::Error| StoreError::file(path, "read", e);
    let file = installation.files.open(&database).map_err(|e| failed(&database, &e))?;
    let wal = installation.files.open(&log).map_err(|e| failed(&log, &e))?;
    match lineage::compare(&*file, &*wal).map_err(|e| failed(&log, &e))? {
        Fit::Foreign => Err(StoreError::LogForeign { log, database }),
        fit @ (Fit::NothingToReplay | Fit::Fits | Fit::Unreadable) => Ok(fit),
    }
}

/// Checks that file and log together are whole, without copying the one into the other.
fn require_whole(connector: &Connector) -> Result<(), StoreError> {
    let db = connector.connect(Role::Reader)?;
    let problem = db
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0))
        .map_err(|e| TransactionError::Sql(e).at(&connector.path))?;
    if problem == "ok" {
        return Ok(());
    }
    let problem = in_one_line(&problem);
    Err(StoreError::NotWhole { path: connector.path.clone(), problem })
}

/// Returns what a server has to bring up to date: the schema of the file, if it is an earlier one, and whether the table of identifiers
/// has to be made. Nobody else opens such a file.
fn due(
    connector: &Connector,
    access: Access,
    options: &StoreOptions,
) -> Result<(Option<i64>, bool), StoreError> {
    let db = connector.connect(Role::Reader)?;
    let version = schema::version(&db).map_err(|e| TransactionError::Sql(e).at(&connector.path))?;
    match version {
        Version::Schema(found) if access == Access::Serve && found < schema::known() => {
            return Ok((Some(found), true));
        }
        Version::Schema(_) | Version::Empty | Version::Foreign => version.check(&connector.path)?,
    }
    let plan = options.numbering_plan.as_ref().filter(|_| access == Access::Serve);
    match identifiers::are_due(&db, plan).map_err(|trouble| trouble.at(&connector.path))? {
        true if access != Access::Serve => Err(StoreError::IdentifiersNotMade(connector.path.clone())),
        due => Ok((None, due)),
    }
}

/// Returns a name beside the database that is not taken.
pub(super) fn free_name(installation: &Installation, suffix: &str) -> Result<std::path::PathBuf, StoreError> {
    let base = with_suffix(&installation.database(), suffix);
    let names = std::iter::once(base.clone()).chain((2..).map(|n| with_suffix(&base, &format!("-{n}"))));
    for name in names {
        let is_taken = |suffix: &str| {
            let name = with_suffix(&name, suffix);
            exists(&*installation.files, &name).map_err(|e| StoreError::file(&name, "look at", &e))
        };
        if !is_taken("")? && !is_taken(".log")? {
            return Ok(name);
        }
    }
    Err(StoreError::FileExists(base))
}

/// Copies the whole log into the file, and closes it.
pub(super) fn close(db: Connection) -> rusqlite::Result<()> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    db.close().map_err(|(_, e)| e)
}
