//! The rows of a file, page by page. No order needs more than an index, however many rows there are.

use std::path::Path;

use rusqlite::Connection;

use crate::store::copy::{
    AuditRows, CopiedTable, EachPage, KeptChain, Order, PAGE, Page, audit_columns, copied_values,
};
use crate::store::error::StoreError;

use super::super::audit::{kept_head, kept_marks};
use super::super::read::first;
use super::super::transaction_error::TransactionError;
use super::super::values::decoder;

/// A file whose rows are read.
pub(super) struct FileRows<'c> {
    pub(super) db: &'c Connection,
    pub(super) path: &'c Path,
}

/// Returns the columns of a table here, and what they are read from. Two tables name the numbers of rows in place of ids.
fn source(table: CopiedTable) -> (String, &'static str) {
    if table == CopiedTable::Identifiers {
        let from = "users u CROSS JOIN identifiers i ON i.user = u.seq";
        return ("u.id, i.kind, i.canonical".into(), from);
    }
    if table == CopiedTable::RefreshTokens {
        let own = |name| if name == "session" { "s.id".to_owned() } else { format!("r.{name}") };
        let columns: Vec<String> = table.names().map(own).collect();
        return (columns.join(", "), "refresh_tokens r CROSS JOIN sessions s ON s.seq = r.session");
    }
    (table.columns().into(), table.name())
}

/// Returns the statement that reads a table. A table without an order of its own is read as it lies: its oldest rows first.
fn select(table: CopiedTable, order: Order) -> String {
    let (columns, from) = source(table);
    let key = if table == CopiedTable::Identifiers { "u.id, i.kind" } else { table.key() };
    if order == Order::Age && key != "seq" {
        return format!("SELECT {columns} FROM {from}");
    }
    format!("SELECT {columns} FROM {from} ORDER BY {key}")
}

impl FileRows<'_> {
    fn at(&self, error: rusqlite::Error) -> StoreError {
        TransactionError::Sql(error).at(self.path)
    }

    pub(super) fn rows(
        &self,
        table: CopiedTable,
        order: Order,
        each: &mut EachPage<'_>,
    ) -> Result<(), StoreError> {
        let names: Vec<&'static str> = table.names().collect();
        self.read(&select(table, order), table.name(), &names, each)
    }

    /// There is one chain: all rows are its.
    pub(super) fn audit_rows(&self, which: AuditRows, each: &mut EachPage<'_>) -> Result<(), StoreError> {
        match which {
            AuditRows::OfSlot(1..) => return Ok(()),
            AuditRows::OfSlot(0) | AuditRows::All => {}
        }
        let names = audit_columns();
        self.read(&format!("SELECT {} FROM audit ORDER BY seq", names.join(", ")), "audit", &names, each)
    }

    fn read(
        &self,
        sql: &str,
        table: &'static str,
        columns: &[&'static str],
        each: &mut EachPage<'_>,
    ) -> Result<(), StoreError> {
        let mut select = self.db.prepare(sql).map_err(|e| self.at(e))?;
        let mut found = select.query([]).map_err(|e| self.at(e))?;
        let mut page = Vec::with_capacity(PAGE);
        while let Some(row) = found.next().map_err(|e| self.at(e))? {
            let values = copied_values(row, table, columns);
            page.push(values.map_err(|row| TransactionError::from(row).at(self.path))?);
            if page.len() == PAGE {
                each(std::mem::replace(&mut page, Vec::with_capacity(PAGE)))?;
            }
        }
        if page.is_empty() { Ok(()) } else { each(page) }
    }

    pub(super) fn generations(&self) -> Result<Page, StoreError> {
        let columns = ["installation", "number", "id", "made_at"];
        let sql = "SELECT m.installation, g.number, g.id, g.made_at FROM generations g CROSS JOIN meta m ORDER BY g.number";
        let mut all = Page::new();
        self.read(sql, "generations", &columns, &mut |page| {
            all.extend(page);
            Ok(())
        })?;
        Ok(all)
    }

    pub(super) fn chains(&self) -> Result<Vec<KeptChain>, StoreError> {
        let at = |trouble: TransactionError| trouble.at(self.path);
        let (head, marks) = (kept_head(self.db).map_err(at)?, kept_marks(self.db).map_err(at)?);
        Ok(vec![KeptChain { slot: 0, head, marks }])
    }

    pub(super) fn count(&self, name: &'static str) -> Result<u64, StoreError> {
        let found =
            first(self.db, &format!("SELECT count(*) FROM {name}"), [], decoder(name, |c| c.number("count")));
        Ok(found.map_err(|trouble| trouble.at(self.path))?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    #[test]
    fn no_table_is_sorted_in_memory() {
        let db = Connection::open_in_memory().unwrap();
        schema::bring_up_to_date(&db, 0).unwrap();
        for table in CopiedTable::ALL {
            for order in [Order::Key, Order::Age] {
                let sql = select(*table, order);
                let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let steps: Vec<String> =
                    plan.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
                assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}: {steps:?}");
            }
        }
    }
}
