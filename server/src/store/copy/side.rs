//! The two sides of a copy, for any engine: a store that is read in one snapshot, and one that is written until the copy is whole.

use std::path::PathBuf;

use gatepass_core::base::time::Time;

use super::table::CopiedTable;
use crate::store::audit_chain::{COLUMNS, Chain, SealedHead, SealedMarks};
use crate::store::error::StoreError;
use crate::store::rows::{MalformedRow, Row, Value};

/// Rows, each with the values of all columns.
pub(in crate::store) type Page = Vec<Vec<Value<'static>>>;

/// Takes the next rows.
pub(in crate::store) type EachPage<'e> = dyn FnMut(Page) -> Result<(), StoreError> + 'e;

/// The most rows of one page.
pub(in crate::store) const PAGE: usize = 500;

/// An order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Order {
    /// That of [`CopiedTable::key`], byte by byte.
    Key,
    /// One in which older rows come before newer ones, as far as the engine knows: lists of users and clients have it.
    Age,
}

/// The audit rows that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum AuditRows {
    /// Those of one chain, from its start on.
    OfSlot(u64),
    /// All of them, in the order of the list.
    All,
}

/// The end of a chain, and what was archived and deleted of it, as a store keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct KeptChain {
    /// The slot; 0 in an engine that has one chain.
    pub(in crate::store) slot: u64,
    /// The last row.
    pub(in crate::store) head: SealedHead,
    /// The last archived and the last deleted row.
    pub(in crate::store) marks: SealedMarks,
}

/// The way in which a copy takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum TakeOver<'i> {
    /// In the place of the source, which was handed over under this id.
    Handover(&'i str),
    /// As a backup that was made at this time.
    Backup(Time),
}

/// A store whose rows are read.
pub(in crate::store) trait Rows {
    /// Returns where it is, without a password.
    fn place(&self) -> String;

    /// Calls `each` with the rows of a table, page by page.
    fn rows(&mut self, table: CopiedTable, order: Order, each: &mut EachPage<'_>) -> Result<(), StoreError>;

    /// Calls `each` with audit rows, page by page: the values of [`crate::store::audit_chain::COLUMNS`], then the link.
    fn audit_rows(&mut self, which: AuditRows, each: &mut EachPage<'_>) -> Result<(), StoreError>;
}

/// A store that is copied.
pub(in crate::store) trait Source: Rows {
    /// Returns the ends of its chains.
    fn chains(&mut self) -> Result<Vec<KeptChain>, StoreError>;

    /// Counts the rows of a table.
    fn count(&mut self, name: &'static str) -> Result<u64, StoreError>;

    /// Returns the file of its master key.
    fn master_key(&self) -> PathBuf;

    /// Returns the id under which it was handed over, if it was.
    fn handover(&mut self) -> Result<Option<String>, StoreError>;

    /// Hands it over: no process of it writes or answers anything from now on.
    fn hand_over(&mut self, id: &str) -> Result<(), StoreError>;

    /// Returns the state generations of a store that lives in one directory: its installation, the number, the id, and when it was made.
    fn generations(&mut self) -> Result<Page, StoreError> {
        Ok(Page::new())
    }

    /// Begins the snapshot that everything is read from, until the source is dropped.
    fn begin(&mut self) -> Result<(), StoreError>;
}

/// A store that is written. Until [`Target::finish`] it refuses to be opened.
pub(in crate::store) trait Target: Rows {
    /// Returns the id of a copy to here that has not come to its end. Fails if there is anything else.
    fn unfinished(&mut self) -> Result<Option<String>, StoreError>;

    /// Marks it as the target of the copy `id`, removes what another attempt has left, and makes the tables.
    fn begin(&mut self, id: &str) -> Result<(), StoreError>;

    /// Inserts rows.
    fn insert(&mut self, table: CopiedTable, rows: Page) -> Result<(), StoreError>;

    /// Inserts rows of the chain of slot 0, as [`Rows::audit_rows`] gives them.
    fn insert_audit(&mut self, rows: Page) -> Result<(), StoreError>;

    /// Takes over the state generations of the source, as far as they mean something here.
    fn insert_generations(&mut self, _rows: Page) -> Result<(), StoreError> {
        Ok(())
    }

    /// Writes the end of the chain of slot 0.
    fn end_chain(&mut self, chain: &Chain, kept: &KeptChain) -> Result<(), StoreError>;

    /// Puts the copy in its place, durably, and removes the mark.
    fn finish(&mut self, take_over: TakeOver<'_>) -> Result<(), StoreError>;
}

/// Returns the columns of an audit row in a copy: those that are hashed, then the link.
pub(in crate::store) fn audit_columns() -> Vec<&'static str> {
    COLUMNS.into_iter().chain(["mac"]).collect()
}

/// Returns the values of `columns`, which are all that `row` has.
pub(in crate::store) fn copied_values(
    row: &dyn Row,
    table: &'static str,
    columns: &[&'static str],
) -> Result<Vec<Value<'static>>, MalformedRow> {
    let value = |(number, column): (usize, &&'static str)| {
        row.value(number).map(Value::into_owned).ok_or(MalformedRow { table, column })
    };
    (0..).zip(columns).map(value).collect()
}

impl Row for Vec<Value<'static>> {
    fn value(&self, column: usize) -> Option<Value<'_>> {
        self.get(column).cloned()
    }
}
