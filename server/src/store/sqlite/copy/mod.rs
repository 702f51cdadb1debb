//! The engine's part in copying a whole store: as the source, in one snapshot, and as the target, in a file of another name.

mod rows;
mod target;

use std::path::PathBuf;

use rusqlite::Connection;

use super::connect::Role;
use super::read::first;
use super::transaction_error::TransactionError;
use super::{Installation, Store, StoreOptions};
use crate::store::backend::{Access, Upkeep as _};
use crate::store::copy::{AuditRows, CopiedTable, EachPage, KeptChain, Order, Page, Rows, Source};
use crate::store::error::StoreError;
use crate::store::rows as records;
use rows::FileRows;

pub(in crate::store) use target::SqliteTarget;

/// A store in a data directory that is copied.
pub(in crate::store) struct SqliteSource {
    store: Store,
    reader: Connection,
}

impl SqliteSource {
    /// Opens it, also beside a server. Unless it is to `keep_serving`, it will be handed over.
    pub(in crate::store) fn open(
        installation: &Installation,
        keep_serving: bool,
    ) -> Result<Self, StoreError> {
        let access = if keep_serving { Access::Read } else { Access::WriteHandedOver };
        let store = Store::open(installation, access, &StoreOptions::default())?;
        let reader = store.files().connector.connect(Role::Reader)?;
        Ok(Self { store, reader })
    }

    fn file(&self) -> FileRows<'_> {
        FileRows { db: &self.reader, path: self.store.path() }
    }
}

impl Drop for SqliteSource {
    /// Leaves the files as every command does. That the log could not be emptied harms neither store.
    fn drop(&mut self) {
        if !self.reader.is_autocommit() {
            let _ = self.reader.execute_batch("ROLLBACK");
        }
        let _ = self.store.close();
    }
}

impl Rows for SqliteSource {
    fn place(&self) -> String {
        self.store.installation().dir.display().to_string()
    }

    fn rows(&mut self, table: CopiedTable, order: Order, each: &mut EachPage<'_>) -> Result<(), StoreError> {
        self.file().rows(table, order, each)
    }

    fn audit_rows(&mut self, which: AuditRows, each: &mut EachPage<'_>) -> Result<(), StoreError> {
        self.file().audit_rows(which, each)
    }
}

impl Source for SqliteSource {
    fn chains(&mut self) -> Result<Vec<KeptChain>, StoreError> {
        self.file().chains()
    }

    fn count(&mut self, name: &'static str) -> Result<u64, StoreError> {
        self.file().count(name)
    }

    fn master_key(&self) -> PathBuf {
        self.store.master_keys().current().file().to_owned()
    }

    fn handover(&mut self) -> Result<Option<String>, StoreError> {
        let sql = "SELECT handover FROM meta WHERE copied_at IS NULL";
        let read = super::values::decoder("meta", |c| c.maybe("handover", records::owned));
        let found = first(&self.reader, sql, [], read).map_err(|trouble| trouble.at(self.store.path()))?;
        Ok(found.flatten())
    }

    fn hand_over(&mut self, id: &str) -> Result<(), StoreError> {
        self.store.hand_over(id)
    }

    fn generations(&mut self) -> Result<Page, StoreError> {
        self.file().generations()
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        let begun = self.reader.execute_batch("BEGIN; SELECT count(*) FROM meta");
        begun.map_err(|e| TransactionError::Sql(e).at(self.store.path()))
    }
}
