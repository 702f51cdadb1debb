//! The engine SQLite: one file that any number of processes work on at once.
//!
//! Reads borrow one of a few connections for one snapshot (`reader`, `read`, `list`). Writes go through one thread
//! (`writer`) that puts the waiting jobs into one transaction (`batch`), each whole or not at all; every change begins with a
//! conditional statement (`apply`). Conditions are checked inside `BEGIN IMMEDIATE`, so several processes behave
//! like one. The file is opened and kept up to date by `connect` and `schema`; `values` is how SQLite's rows and values are read and
//! written by the translation into records that all engines share.

mod advance;
mod apply;
mod archive;
mod audit;
mod audit_pages;
mod backup;
mod batch;
mod check;
mod checkpoint;
mod connect;
#[cfg(feature = "postgres")]
mod copy;
mod create;
mod dated_ahead;
mod deliveries;
mod factors;
mod generation;
mod identifiers;
mod installation;
mod keys;
mod lineage;
mod mark;
mod migrate;
mod open;
mod pages;
mod passwords;
mod read;
mod reader;
mod reserve;
mod restore;
mod rotate;
mod row_counts;
mod schema;
mod sign_in_history;
mod start;
mod state;
mod store;
mod sweep;
mod transaction_error;
mod values;
mod walk;
mod witness;
mod writer;

pub use backup::BackupReport;
pub use check::{Finding, Report, Severity, check};
#[cfg(feature = "postgres")]
pub(super) use copy::{SqliteSource, SqliteTarget};
pub use generation::Generation;
pub use installation::{Contents, DATABASE, Installation, LOCK, WITNESS};
pub use reserve::RESERVE;
pub use restore::{Restored, accept, restore};
pub use rotate::Rotated;
#[cfg(feature = "postgres")]
pub(super) use rotate::{PATIENCE, is_beside, put_in_place};
#[cfg(feature = "postgres")]
pub(super) use state::find_key;
pub use store::{Store, StoreOptions};
pub use witness::Witness;

/// Reads bytes as the files that are read before SQLite opens anything: a witness, a page of the database, a log.
#[doc(hidden)]
pub fn read_any_files(page: &[u8], log: &[u8]) {
    let _ = std::str::from_utf8(page).map(Witness::parse);
    lineage::read_any(page, log);
}
