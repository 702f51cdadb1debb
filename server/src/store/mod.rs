//! The store: the durable data of an installation.
//!
//! [`Backend`] is what the server needs of an engine, and [`StoreError`] is how one fails. `audit_chain` and `audit_archive` are the
//! rules of the audit rows, the same for every engine. `rows` turns rows into records and back, for every engine, too. [`sqlite`] is the
//! engine, and the only place that knows SQLite.

mod admin_session;
mod audit_archive;
mod audit_chain;
mod audit_filter;
mod backend;
mod clock;
mod engine;
mod error;
mod measures;
mod notice;
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
pub use clock::Clock;
pub use engine::load_engine;
pub use error::{SqliteErrorKind, StoreError};
pub use measures::StoreMeasures;
pub use notice::Notice;
pub use sqlite::{
    BackupReport, Contents, DATABASE, Finding, Generation, Installation, LOCK, RESERVE, Report, Restored,
    Rotated, Severity, Store, StoreOptions, WITNESS, Witness, accept, check, read_any_files, restore,
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
    Ok(Arc::new(Store::open_or_create(installation, access, create, options)?))
}

/// The traits of [`Backend`], for code that holds an engine itself.
pub mod prelude {
    pub use super::{
        AuditTrail as _, BackendExt as _, ClockStore as _, Requests as _, SigningKeys as _, Upkeep as _,
    };
}
