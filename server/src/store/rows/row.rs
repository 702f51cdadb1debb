//! A row of an engine, and its columns, read one after the other.

use std::borrow::Cow;

use gatepass_core::base::time::Time;
use gatepass_core::records::client::ClientRef;
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::role::Roles;
use gatepass_core::records::ticket::Impersonation;

use super::text::{owned, user_id};
use super::value::Value;

/// One row of an engine.
pub(in crate::store) trait Row {
    /// Returns the value of a column, counted from 0. Returns none if there is no such column, or if its type is one that no column
    /// of ours has.
    fn value(&self, column: usize) -> Option<Value<'_>>;
}

/// A row that does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct MalformedRow {
    /// The table.
    pub(in crate::store) table: &'static str,
    /// The column.
    pub(in crate::store) column: &'static str,
}

/// The error of a store without the row that describes all of it.
pub(in crate::store) const NO_META: MalformedRow = MalformedRow { table: "meta", column: "only row" };

/// The columns of a row of a known table, taken one after the other.
pub(in crate::store) struct Columns<'a> {
    row: &'a dyn Row,
    table: &'static str,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(in crate::store) const fn of(row: &'a dyn Row, table: &'static str) -> Self {
        Self { row, table, next: 0 }
    }

    /// Returns the error that names a column.
    pub(in crate::store) const fn unreadable(&self, column: &'static str) -> MalformedRow {
        MalformedRow { table: self.table, column }
    }

    fn take(&mut self, column: &'static str) -> Result<Value<'a>, MalformedRow> {
        let value = self.row.value(self.next).ok_or_else(|| self.unreadable(column))?;
        self.next += 1;
        Ok(value)
    }

    fn integer(&mut self, column: &'static str) -> Result<Option<i64>, MalformedRow> {
        match self.take(column)? {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(number)),
            Value::Text(_) | Value::Bytes(_) | Value::Unstorable => Err(self.unreadable(column)),
        }
    }

    fn maybe_blob(&mut self, column: &'static str) -> Result<Option<Cow<'a, [u8]>>, MalformedRow> {
        match self.take(column)? {
            Value::Null => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            Value::Integer(_) | Value::Text(_) | Value::Unstorable => Err(self.unreadable(column)),
        }
    }

    /// Reads a text that `parse` understands.
    pub(in crate::store) fn parsed<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, MalformedRow> {
        self.maybe(column, parse)?.ok_or_else(|| self.unreadable(column))
    }

    /// The same, or NULL.
    pub(in crate::store) fn maybe<T>(
        &mut self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, MalformedRow> {
        match self.take(column)? {
            Value::Null => Ok(None),
            Value::Text(text) => parse(&text).map(Some).ok_or_else(|| self.unreadable(column)),
            Value::Integer(_) | Value::Bytes(_) | Value::Unstorable => Err(self.unreadable(column)),
        }
    }

    pub(in crate::store) fn number(&mut self, column: &'static str) -> Result<u64, MalformedRow> {
        self.maybe_number(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(in crate::store) fn maybe_number(
        &mut self,
        column: &'static str,
    ) -> Result<Option<u64>, MalformedRow> {
        let number = self.integer(column)?;
        number.map(u64::try_from).transpose().map_err(|_| self.unreadable(column))
    }

    pub(in crate::store) fn small(&mut self, column: &'static str) -> Result<u32, MalformedRow> {
        self.maybe_small(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn maybe_small(&mut self, column: &'static str) -> Result<Option<u32>, MalformedRow> {
        let number = self.integer(column)?;
        number.map(u32::try_from).transpose().map_err(|_| self.unreadable(column))
    }

    pub(in crate::store) fn time(&mut self, column: &'static str) -> Result<Time, MalformedRow> {
        self.number(column).map(Time::from_unix)
    }

    pub(in crate::store) fn maybe_time(
        &mut self,
        column: &'static str,
    ) -> Result<Option<Time>, MalformedRow> {
        Ok(self.maybe_number(column)?.map(Time::from_unix))
    }

    pub(in crate::store) fn flag(&mut self, column: &'static str) -> Result<bool, MalformedRow> {
        match self.integer(column)? {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) | None => Err(self.unreadable(column)),
        }
    }

    /// Reads a set of roles, as a number.
    pub(super) fn roles(&mut self, column: &'static str) -> Result<Roles, MalformedRow> {
        let bits = u8::try_from(self.small(column)?).ok();
        bits.and_then(Roles::from_bits).ok_or_else(|| self.unreadable(column))
    }

    /// Reads bytes of any number.
    pub(in crate::store) fn blob(&mut self, column: &'static str) -> Result<Cow<'a, [u8]>, MalformedRow> {
        self.maybe_blob(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(in crate::store) fn bytes<const N: usize>(
        &mut self,
        column: &'static str,
    ) -> Result<[u8; N], MalformedRow> {
        self.maybe_bytes(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(in crate::store) fn maybe_bytes<const N: usize>(
        &mut self,
        column: &'static str,
    ) -> Result<Option<[u8; N]>, MalformedRow> {
        let bytes = self.maybe_blob(column)?;
        bytes.map(|bytes| bytes.as_ref().try_into()).transpose().map_err(|_| self.unreadable(column))
    }

    /// Reads the next three columns: counts of wrong guesses.
    pub(in crate::store) fn lockout(&mut self) -> Result<Lockout, MalformedRow> {
        Ok(Lockout {
            wrong: self.small("wrong")?,
            locks: self.small("locks")?,
            locked_until: self.maybe_time("locked_until")?,
        })
    }

    /// Reads the next two columns: who acts as the user, and why.
    pub(super) fn impersonation(&mut self) -> Result<Option<Impersonation>, MalformedRow> {
        match (self.maybe("actor", user_id)?, self.maybe("reason", owned)?) {
            (Some(actor), Some(reason)) => Ok(Some(Impersonation { actor, reason })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(self.unreadable("reason")),
        }
    }

    /// Reads the next column: the epoch of the client `id` that issued something, which is there if `id` is.
    pub(super) fn issuer(&mut self, id: Option<ClientId>) -> Result<Option<ClientRef>, MalformedRow> {
        match (id, self.maybe_number("issuer_epoch")?) {
            (Some(id), Some(epoch)) => Ok(Some(ClientRef { id, epoch })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(self.unreadable("issuer_epoch")),
        }
    }

    /// Leaves the next `columns` unread.
    pub(in crate::store) const fn skip(&mut self, columns: usize) {
        self.next += columns;
    }
}
