//! Values and rows of SQLite, as the translation that all engines share reads and writes them.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::transaction_error::TransactionError;
use crate::store::rows::{Columns, MalformedRow, Row, Value};

impl Row for rusqlite::Row<'_> {
    fn value(&self, column: usize) -> Option<Value<'_>> {
        match self.get_ref(column).ok()? {
            ValueRef::Null => Some(Value::Null),
            ValueRef::Integer(number) => Some(Value::Integer(number)),
            ValueRef::Real(_) => None,
            ValueRef::Text(text) => std::str::from_utf8(text).ok().map(Value::from),
            ValueRef::Blob(bytes) => Some(bytes.into()),
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Unstorable => {
                let why = "a value that no column can hold";
                return Err(rusqlite::Error::ToSqlConversionFailure(why.into()));
            }
        }))
    }
}

/// Returns a function that decodes rows of `table`.
pub(super) fn decoder<T>(
    table: &'static str,
    decode: impl Fn(&mut Columns<'_>) -> Result<T, MalformedRow>,
) -> impl Fn(&rusqlite::Row<'_>) -> Result<T, TransactionError> {
    move |row| Ok(decode(&mut Columns::of(row, table))?)
}

/// Returns a number as SQLite keeps it.
pub(super) fn signed(number: u64) -> Result<i64, TransactionError> {
    i64::try_from(number)
        .map_err(|e| TransactionError::Sql(rusqlite::Error::ToSqlConversionFailure(e.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_those_of_foreign_types_do_not() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let values = [Value::Null, Value::Integer(-1), Value::from("a\0名"), Value::from(vec![0, 255])];
        let sql = "SELECT ?1, ?2, ?3, ?4, 1.5, CAST(x'ff' AS TEXT)";
        let read = |row: &rusqlite::Row<'_>| {
            let found = (0..7).map(|column| row.value(column));
            let expected = values.iter().cloned().map(Some).chain([None, None, None]);
            assert!(found.eq(expected));
            Ok(())
        };
        db.query_row(sql, rusqlite::params_from_iter(&values), read).unwrap();
    }

    #[test]
    fn what_no_column_can_hold_is_an_error() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let found = db.query_row("SELECT ?1", [Value::from(1u64 << 63)], |_| Ok(()));
        assert!(matches!(found, Err(rusqlite::Error::ToSqlConversionFailure(_))));
    }
}
