//! The errors inside a transaction, and the kinds of SQLite's errors.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::secrets::SecretsError;
use crate::store::error::{SqliteErrorKind, StoreError};
use crate::store::rows::MalformedRow;

impl SqliteErrorKind {
    /// Returns the kind of an error.
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt,
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(ErrorCode::CannotOpen) => Self::CannotOpen,
            Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => Self::Io,
            Some(ErrorCode::OutOfMemory) => Self::NoMemory,
            _ => Self::Other,
        }
    }
}

/// An error inside a transaction, before it is known which file to name.
#[derive(Debug)]
pub(super) enum TransactionError {
    /// SQLite failed.
    Sql(rusqlite::Error),
    /// A row does not decode.
    Row {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A condition did not hold.
    Conflict,
    /// Refused for a reason of its own.
    Refused(StoreError),
}

impl From<MalformedRow> for TransactionError {
    fn from(MalformedRow { table, column }: MalformedRow) -> Self {
        Self::Row { table, column }
    }
}

impl From<SecretsError> for TransactionError {
    fn from(error: SecretsError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<rusqlite::Error> for TransactionError {
    /// A taken key, or a missing referenced row, is a condition that does not hold.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi;
        match error.sqlite_error().map(|e| e.extended_code) {
            Some(
                ffi::SQLITE_CONSTRAINT_UNIQUE
                | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                | ffi::SQLITE_CONSTRAINT_ROWID
                | ffi::SQLITE_CONSTRAINT_FOREIGNKEY,
            ) => Self::Conflict,
            _ => Self::Sql(error),
        }
    }
}

impl TransactionError {
    /// Returns the error for the file at `path`.
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Sql(error) => StoreError::Sqlite {
                path: path.to_owned(),
                fault: SqliteErrorKind::of(&error),
                detail: error.to_string(),
            },
            Self::Row { table, column } => StoreError::Row { path: path.to_owned(), table, column },
            Self::Conflict => StoreError::Conflict("it was changed in the meantime; try again".into()),
            Self::Refused(error) => error,
        }
    }
}
