//! The store: the durable data of an installation.
//!
//! [`Backend`] is what the server needs of an engine, and [`StoreError`] is how one fails. `audit_chain` and `audit_archive` are the
//! rules of the audit rows, the same for every engine. `rows` turns rows into records and back, for every engine, too, and `copy` moves all
//! of them from one to another. [`sqlite`] is the engine of a directory, and the only place that knows SQLite; `postgres`, a feature, is the
//! engine over a database server.

mod admin_session;
mod audit_archive;
mod audit_chain;
mod audit_filter;
mod backend;
mod check;
mod clock;
#[cfg(feature = "postgres")]
mod copy;
mod database_server;
mod engine;
mod error;
mod measures;
mod notice;
#[cfg(feature = "postgres")]
pub mod postgres;
mod rows;
pub mod sqlite;

use std::sync::Arc;

pub use admin_session::AdminSession;
pub use audit_chain::{AuditRow, AuditVerdict, BrokenLink};
pub use audit_filter::{AuditFilter, AuditOrder, AuditPage, AuditSpan, RefusalFilter};
pub use backend::{
    Access, Archived, AuditCut, AuditTrail, Backend, BackendExt, ClockMark, ClockStore, CountedRows,
    CountedTable, Create, EndedAhead, KEEP_EXPIRED, OnProgress, Phase, Requests, RowCursor, STEP,
    SigningKeys, StoredKeys, Swept, Then, Upkeep,
};
pub use check::check;
pub use clock::Clock;
#[cfg(feature = "postgres")]
pub use copy::{Copied, CopyError, copy};
pub use database_server::DatabaseServer;
pub use engine::load_engine;
pub use error::{SqliteErrorKind, StoreError};
pub use measures::StoreMeasures;
pub use notice::Notice;
pub use sqlite::{
    BackupReport, Contents, DATABASE, Finding, Generation, Installation, LOCK, RESERVE, Report, Restored,
    Rotated, Severity, Store, StoreOptions, WITNESS, Witness, accept, read_any_files, restore,
};

/// Opens the store of an installation, which is created first in the cases of `create`. This is where the server chooses its engine.
///
/// # Errors
/// [`StoreError`] names the file and the way out. Nothing was touched.
pub fn open(
    installation: &Installation,
    access: Access,
    create: Create,
    options: &StoreOptions,
) -> Result<Arc<dyn Backend>, StoreError> {
    match &installation.server {
        None => Ok(Arc::new(Store::open_or_create(installation, access, create, options)?)),
        Some(server) => open_server(server, installation, access, create, options),
    }
}

#[cfg(feature = "postgres")]
fn open_server(
    server: &DatabaseServer,
    installation: &Installation,
    access: Access,
    create: Create,
    options: &StoreOptions,
) -> Result<Arc<dyn Backend>, StoreError> {
    Ok(Arc::new(postgres::PostgresStore::open(server, installation, access, create, options)?))
}

#[cfg(not(feature = "postgres"))]
fn open_server(
    _: &DatabaseServer,
    _: &Installation,
    _: Access,
    _: Create,
    _: &StoreOptions,
) -> Result<Arc<dyn Backend>, StoreError> {
    Err(StoreError::NotBuilt)
}

/// Undoes a handover of the store in `database`: it answers again, and refuses everything issued before. Returns the handover's id.
///
/// # Errors
/// [`StoreError`] if there was no handover, or it cannot be written.
pub fn cancel_handover(database: &DatabaseServer, installation: &Installation) -> Result<String, StoreError> {
    #[cfg(feature = "postgres")]
    return postgres::PostgresStore::cancel_handover(database, installation);
    #[cfg(not(feature = "postgres"))]
    {
        let _ = (database, installation);
        Err(StoreError::NotBuilt)
    }
}

/// The traits of [`Backend`], for code that holds an engine itself.
pub mod prelude {
    pub use super::{
        AuditTrail as _, BackendExt as _, ClockStore as _, Requests as _, SigningKeys as _, Upkeep as _,
    };
}
