//! The errors inside a transaction, before it is known which database to name.

use super::connection::DatabaseError;
use super::connector::Connector;
use crate::secrets::SecretsError;
use crate::store::error::StoreError;
use crate::store::rows::MalformedRow;

/// The reason why something was not read, or why a transaction was not decided: then nothing was written.
#[derive(Debug)]
pub(super) enum Trouble {
    Database(DatabaseError),
    /// A row does not decode.
    Row(MalformedRow),
    /// Refused for a reason of its own.
    Store(StoreError),
    /// A value has no place in its column.
    Unstorable,
    /// Something that it rests on was changed meanwhile.
    Again,
    /// Another process has taken over the slot of the audit table.
    SlotLost,
    /// The database has lost commits that this process has seen applied.
    StateLost,
}

impl Trouble {
    /// Returns the error for something that does not hold any more.
    pub(super) fn conflict() -> Self {
        Self::Store(StoreError::Conflict("it was changed in the meantime; try again".into()))
    }

    /// Returns the error that names the database.
    pub(super) fn at(self, connector: &Connector) -> StoreError {
        match self {
            Self::Database(error) => connector.error(&error),
            Self::Row(row) => connector.malformed(row),
            Self::Store(error) => error,
            Self::Unstorable => {
                connector.error(&DatabaseError::Lost("a value is larger than a column can hold".into()))
            }
            Self::Again | Self::SlotLost | Self::StateLost => {
                connector.error(&DatabaseError::Lost("it changes again and again".into()))
            }
        }
    }
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<MalformedRow> for Trouble {
    fn from(row: MalformedRow) -> Self {
        Self::Row(row)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SecretsError> for Trouble {
    fn from(error: SecretsError) -> Self {
        Self::Store(error.into())
    }
}
