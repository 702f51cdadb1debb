//! The work beside the requests, and the end of the store.

use gatepass_core::base::time::Time;

use super::process::Process;
use super::store::PostgresStore;
use crate::store::backend::{CountedRows, CountedTable, EndedAhead, RowCursor, Swept, Upkeep};
use crate::store::error::StoreError;
use crate::store::measures::StoreMeasures;
use crate::store::notice::Notice;

impl Upkeep for PostgresStore {
    fn engine(&self) -> &'static str {
        self.installation().engine()
    }

    fn place(&self) -> String {
        self.address().to_owned()
    }

    fn newest_are_dated_ahead(&self, now: Time) -> Result<bool, StoreError> {
        self.newest_are_ahead(now)
    }

    fn end_dated_ahead(&self, now: Time) -> Result<EndedAhead, StoreError> {
        self.end_rows_ahead(now)
    }

    fn sweep(&self, now: Time, batch: usize) -> Result<Swept, StoreError> {
        self.sweep_step(now, batch)
    }

    fn witness_works(&self) -> bool {
        self.state().process().is_none_or(Process::witness_works)
    }

    fn is_disk_full(&self) -> bool {
        self.state().is_disk_full()
    }

    fn notices(&self) -> &[Notice] {
        &self.state().notices
    }

    fn database_bytes(&self) -> u64 {
        let size = self.read_with(async |connection| {
            let rows = connection.query("SELECT pg_database_size(current_database())", &[]).await?;
            Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
        });
        size.unwrap_or(0)
    }

    fn count_rows(
        &self,
        table: CountedTable,
        after: Option<RowCursor>,
        most: u32,
    ) -> Result<Option<CountedRows>, StoreError> {
        self.count(table, after, most).map(Some)
    }

    fn measures(&self) -> Option<&StoreMeasures> {
        Some(&self.state().measures)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.end();
        Ok(())
    }
}
