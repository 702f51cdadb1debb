//! Updates a file of an earlier schema: a copy first, then one transaction, while no other process has the file. Then the table of
//! identifiers is made, in batches.

use std::io;
use std::path::Path;

use gatepass_core::records::identifier::NumberingPlan;
use rusqlite::Connection;

use super::connect::{Connector, Role};
use super::installation::Installation;
use super::open::free_name;
use super::transaction_error::TransactionError;
use super::{backup, batch, identifiers, schema, state};
use crate::secrets::files::{directory_of, with_suffix};
use crate::store::error::{SqliteErrorKind, StoreError};

/// Updates a file of schema `found`, after a copy of it was made.
pub(super) fn migrate(
    installation: &Installation,
    connector: &Connector,
    found: i64,
) -> Result<(), StoreError> {
    let path = &connector.path;
    let at = |e: rusqlite::Error| in_use(path, TransactionError::Sql(e));
    let mut db = alone(installation, connector)?;
    let files = &*installation.files;
    let copy = free_name(installation, &format!(".schema-{found}"))?;
    tracing::info!(from = found, to = schema::known(), copy = %copy.display(), "bringing the database up to date");
    let draft = with_suffix(path, ".copy");
    let copied = backup::copy_pages(&db, &draft, files, &mut |_, _| ()).inspect_err(|_| {
        // The room may be needed by the version that wrote the file.
        let _ = backup::remove_all(files, &draft);
    })?;
    copied.close().map_err(|(_, e)| at(e))?;
    files.sync(&draft).map_err(|e| StoreError::file(&draft, "sync", &e))?;
    let failed = |e: &io::Error| StoreError::file(&copy, "write", e);
    files.rename(&draft, &copy).map_err(|e| failed(&e))?;
    files.sync_directory(directory_of(&copy)).map_err(|e| failed(&e))?;
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(at)?;
    schema::bring_up_to_date(&tx, found).map_err(at)?;
    batch::number(&tx).map_err(at)?;
    tx.commit().map_err(at)
}

/// Makes the table of identifiers, or the rest of it.
pub(super) fn make_identifiers(
    installation: &Installation,
    connector: &Connector,
    plan: Option<&Option<NumberingPlan>>,
) -> Result<(), StoreError> {
    let mut db = alone(installation, connector)?;
    identifiers::make(&mut db, plan).map_err(|error| in_use(&connector.path, error))
}

/// Opens the file so that no other process does, once its master key was found.
fn alone(installation: &Installation, connector: &Connector) -> Result<Connection, StoreError> {
    let db = connector.connect(Role::Alone)?;
    let check: rusqlite::Result<Vec<u8>> =
        db.query_row("SELECT master_check FROM meta", [], |row| row.get(0));
    let check = check.map_err(|e| in_use(&connector.path, TransactionError::Sql(e)))?;
    state::find_key(installation, &check, None)?;
    Ok(db)
}

/// Returns the error to report: another process has the file, or else `error`.
fn in_use(path: &Path, error: TransactionError) -> StoreError {
    if matches!(&error, TransactionError::Sql(e) if SqliteErrorKind::of(e) == SqliteErrorKind::Locked) {
        return StoreError::InUse(path.to_owned());
    }
    error.at(path)
}
