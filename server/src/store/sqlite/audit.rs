//! The audit chain in the file: rows are added inside a transaction, and read back.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::LazyLock;

use gatepass_core::store::audit::Event;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params, params_from_iter};

use super::read::first;
use super::state::State;
use super::transaction_error::TransactionError;
use crate::secrets::master_key::MasterKey;
use crate::store::audit_chain::{
    AuditRow, BEFORE_ROLES, COLUMNS, Chain, Field, Head, SealedHead, SealedMarks, UNNUMBERED, WIDTH,
};
use crate::store::rows::{self, Columns, NO_META, integer};

impl<'a> From<ValueRef<'a>> for Field<'a> {
    fn from(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(Cow::Borrowed(text)),
            ValueRef::Blob(blob) => Self::Blob(Cow::Borrowed(blob)),
        }
    }
}

impl ToSql for Field<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}

/// Writes a row: its [`COLUMNS`], then its link.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = COLUMNS.join(", ");
    format!("INSERT INTO audit ({columns}, mac) VALUES ({}?)", "?, ".repeat(WIDTH))
});

/// The chain while one transaction, which holds the write lock, appends to it: its end is read once, and written once.
pub(super) struct Tail<'a> {
    chain: &'a Chain,
    master: &'a MasterKey,
    state: State,
    /// None until something is appended.
    end: RefCell<Option<Head>>,
}

impl<'a> Tail<'a> {
    /// Makes the tail of `chain` as the transaction finds it.
    pub(super) const fn of(chain: &'a Chain, master: &'a MasterKey, state: State) -> Self {
        Self { chain, master, state, end: RefCell::new(None) }
    }

    /// Returns the master key, which seals what the transaction writes.
    pub(super) const fn master(&self) -> &MasterKey {
        self.master
    }

    /// Returns the state of the whole file, as the transaction found it.
    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// Returns its end.
    pub(super) fn end(&self) -> Option<Head> {
        self.end.borrow().clone()
    }

    /// Resets its end: what was appended since was rolled back.
    pub(super) fn back_to(&self, end: Option<Head>) {
        *self.end.borrow_mut() = end;
    }

    /// Appends a row for `event`.
    pub(super) fn append(&self, db: &Connection, event: &Event) -> Result<(), TransactionError> {
        let before = self.end().map_or_else(|| kept_head(db).map(|kept| kept.head), Ok)?;
        let (fields, head) = self.chain.next_row(&before, event);
        db.prepare_cached(&INSERT)?
            .execute(params_from_iter(fields.iter().chain([&Field::Blob(head.mac[..].into())])))
            // A row at the next number is damage, not a race.
            .map_err(TransactionError::Sql)?;
        self.back_to(Some(head));
        Ok(())
    }

    /// Writes its end, if it has changed.
    pub(super) fn keep(&self, db: &Connection) -> rusqlite::Result<()> {
        let Some(end) = self.end() else { return Ok(()) };
        let seq = integer(end.seq);
        db.prepare_cached("UPDATE meta SET audit_seq = ?1, audit_mac = ?2, audit_seal = ?3")?
            .execute(params![seq, end.mac, self.chain.seal_of(&end)])
            .map(drop)
    }
}

/// Reads the record of the last row.
pub(super) fn kept_head(db: &Connection) -> Result<SealedHead, TransactionError> {
    let read = |row: &Row<'_>| {
        let mut c = Columns::of(row, "meta");
        let head = Head { seq: c.number("audit_seq")?, mac: c.bytes("audit_mac")? };
        Ok(SealedHead { head, seal: c.bytes("audit_seal")? })
    };
    first(db, "SELECT audit_seq, audit_mac, audit_seal FROM meta", [], read)?.ok_or(NO_META.into())
}

/// Reads the record of what was archived and deleted.
pub(super) fn kept_marks(db: &Connection) -> Result<SealedMarks, TransactionError> {
    let read = |row: &Row<'_>| {
        let mut c = Columns::of(row, "meta");
        Ok(SealedMarks {
            archived: c.number("audit_archived")?,
            archived_seal: c.maybe_bytes("audit_archived_seal")?,
            cut: c.number("audit_cut")?,
            cut_mac: c.maybe_bytes("audit_cut_mac")?,
            cut_seal: c.maybe_bytes("audit_cut_seal")?,
        })
    };
    let sql =
        "SELECT audit_archived, audit_archived_seal, audit_cut, audit_cut_mac, audit_cut_seal FROM meta";
    first(db, sql, [], read)?.ok_or(NO_META.into())
}

/// Returns [`COLUMNS`] as a file of this schema can be asked for them: those that it does not have yet are null.
pub(super) fn columns(schema: i64) -> String {
    let has = match schema {
        ..4 => 13,
        4..9 => UNNUMBERED,
        9 => BEFORE_ROLES,
        10.. => WIDTH,
    };
    let columns = COLUMNS.iter().enumerate().map(|(i, name)| if i < has { *name } else { "NULL" });
    columns.collect::<Vec<_>>().join(", ")
}

/// Reads the values of a row that begins with the [`columns`] of its schema, of any types.
pub(super) fn row_fields<'a>(row: &'a Row<'_>) -> rusqlite::Result<[Field<'a>; WIDTH]> {
    let mut fields = [const { Field::Null }; WIDTH];
    for (i, field) in fields.iter_mut().enumerate() {
        *field = row.get_ref(i)?.into();
    }
    Ok(fields)
}

/// Reads a row of the [`columns`] of this schema.
pub(super) fn audit_row(row: &Row<'_>) -> Result<AuditRow, TransactionError> {
    let mut c = Columns::of(row, "audit");
    Ok(AuditRow { seq: c.number("seq")?, event: rows::event(&mut c)? })
}
