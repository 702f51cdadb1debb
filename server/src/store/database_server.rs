//! The database that keeps the records in place of a file in the data directory.

use std::path::PathBuf;
use std::{fs, io};

use gatepass_core::base::secret::SecretText;

use super::error::StoreError;
use super::sqlite::Installation;
#[cfg(feature = "postgres")]
use super::sqlite::PATIENCE;
use crate::database_address::DatabaseAddress;
#[cfg(feature = "postgres")]
use crate::secrets::files::replace;
use crate::secrets::password::PasswordSource;

/// The name of the file that holds the address of the database server with the records, if they are in one.
const SERVER: &str = "gatepass.store";

/// A database, and how its password is found.
#[derive(Clone, Debug)]
pub struct DatabaseServer {
    /// The address of the database.
    pub address: DatabaseAddress,
    /// The place that its password comes from.
    pub password: PasswordSource,
}

impl DatabaseServer {
    /// Makes the database at `address`, whose password is `password`, or else in `password_file`.
    pub fn new(
        address: DatabaseAddress,
        password: Option<SecretText>,
        password_file: Option<PathBuf>,
    ) -> Self {
        let password = match (password, password_file) {
            (Some(password), _) => PasswordSource::Given(password),
            (None, Some(file)) => PasswordSource::File(file),
            (None, None) => PasswordSource::None,
        };
        Self { address, password }
    }
}

impl Installation {
    /// Names a database that keeps the records in place of a file in the data directory.
    #[must_use]
    pub fn with_server(self, server: Option<DatabaseServer>) -> Self {
        Self { server, ..self }
    }

    /// Returns the name of the engine that keeps the records.
    pub const fn engine(&self) -> &'static str {
        if self.server.is_some() { "postgresql" } else { "sqlite" }
    }

    /// Returns what holds the records, as messages name it.
    pub fn records(&self) -> PathBuf {
        self.server.as_ref().map_or_else(|| self.database(), |server| server.address.to_string().into())
    }

    /// Writes down that the records are in the server, so that nobody begins another installation here.
    #[cfg(feature = "postgres")]
    pub(super) fn record_server(&self) -> Result<(), StoreError> {
        let Some(server) = &self.server else { return Ok(()) };
        // Another server may be starting here.
        let _locked = self.lock_directory(PATIENCE)?;
        let (path, address) = (self.dir.join(SERVER), server.address.to_string());
        if self.recorded_server()? == Some(address.clone()) {
            return Ok(());
        }
        let line = format!("{address}\n");
        replace(&*self.files, &path, line.as_bytes()).map_err(|e| StoreError::file(&path, "write", &e))
    }

    /// Returns the address of the server that holds the records, if they are in one.
    pub(super) fn recorded_server(&self) -> Result<Option<String>, StoreError> {
        let path = self.dir.join(SERVER);
        match fs::read_to_string(&path) {
            Ok(line) => Ok(Some(line.trim_end().to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::file(&path, "read", &e)),
        }
    }
}
