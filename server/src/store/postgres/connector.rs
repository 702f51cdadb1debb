//! The connector: it opens connections to the database.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::{Connection, DatabaseError};
use super::tls;
use crate::database_address::{DatabaseAddress, DatabaseHost};
use crate::secrets::files::Files;
use crate::secrets::password::PasswordSource;
use crate::store::database_server::DatabaseServer;
use crate::store::error::StoreError;
use crate::store::rows::MalformedRow;

/// The longest time to connect to one server.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);
/// The longest time to reach one IP address: a name may have several.
const LONGEST_REACH: Duration = Duration::from_secs(2);
/// The longest time of a commit.
const LONGEST_COMMIT: Duration = Duration::from_secs(10);
/// The time after which data that nobody acknowledged ends a connection.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
/// The time without traffic after which the other end is asked for a sign of life, and between two such questions.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// The questions without an answer that end a connection.
const KEEPALIVES: u32 = 3;

/// The address, the password and the bounds of time of a connection.
#[derive(Clone)]
pub(super) struct Connector {
    /// The servers of the database, in the order in which they are tried.
    servers: Vec<Server>,
    password: PasswordSource,
    files: Arc<dyn Files>,
    /// Where the database is, without a password: for messages.
    pub(super) address: String,
    /// The longest time to connect to one server.
    pub(super) longest_connect: Duration,
    /// The longest time of one commit, with everything that it is tried again.
    pub(super) longest_commit: Duration,
}

#[derive(Clone)]
struct Server {
    host: DatabaseHost,
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Connector {
    /// Makes what connects to `database`.
    ///
    /// # Errors
    /// [`StoreError`] if the root certificates cannot be used.
    pub(super) fn new(
        DatabaseServer { address, password }: &DatabaseServer,
        files: Arc<dyn Files>,
    ) -> Result<Self, StoreError> {
        let tls = address.root_certificates.as_deref().map(tls::verified_by).transpose();
        let tls = tls.map_err(|detail| StoreError::Postgres { address: address.to_string(), detail })?;
        let server = |host: &DatabaseHost| {
            let tls = tls.clone().filter(|_| matches!(host, DatabaseHost::Tcp(..)));
            Server { config: config(address, host, tls.is_some()), host: host.clone(), tls }
        };
        Ok(Self {
            servers: address.hosts.iter().map(server).collect(),
            password: password.clone(),
            files,
            address: address.to_string(),
            longest_connect: LONGEST_CONNECT,
            longest_commit: LONGEST_COMMIT,
        })
    }

    /// Returns the same with another bound for commits.
    pub(super) fn with_longest_commit(&self, longest_commit: Duration) -> Self {
        Self { longest_commit, ..self.clone() }
    }

    /// Connects to the first server that takes writes.
    pub(super) async fn connect(&self) -> Result<Connection, DatabaseError> {
        let password = self.password.read(&*self.files);
        let password = password.map_err(|error| DatabaseError::Lost(error.to_string()))?;
        let mut reasons = Vec::with_capacity(self.servers.len());
        for Server { host, config, tls } in &self.servers {
            let mut config = config.clone();
            if let Some(password) = &password {
                config.password(password.as_bytes());
            }
            match Connection::open(&config, tls.clone(), self.longest_connect).await {
                Ok(connection) => return Ok(connection),
                Err(error) if self.servers.len() == 1 => return Err(error),
                Err(error) => reasons.push(format!("{host}: {error}")),
            }
        }
        Err(DatabaseError::Lost(reasons.join("; ")))
    }

    /// Returns the error of a row that cannot be read.
    pub(super) fn malformed(&self, MalformedRow { table, column }: MalformedRow) -> StoreError {
        StoreError::Row { path: self.address.clone().into(), table, column }
    }

    /// Returns the error that names the database.
    pub(super) fn error(&self, error: &DatabaseError) -> StoreError {
        if error.is_disk_full() {
            return StoreError::ServerFull(self.address.clone());
        }
        StoreError::Postgres { address: self.address.clone(), detail: error.to_string() }
    }
}

/// Returns what the driver has to know of one server. It is never connected to two at once: each has its own time.
fn config(address: &DatabaseAddress, host: &DatabaseHost, encrypted: bool) -> Config {
    let mut config = Config::new();
    match host {
        DatabaseHost::Tcp(name, port) => config.host(name).port(*port),
        DatabaseHost::Socket(directory, port) => config.host_path(directory).port(*port),
    };
    if let Some(user) = &address.user {
        config.user(user);
    }
    config
        .dbname(&address.database)
        .application_name("gatepass")
        .ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable })
        .target_session_attrs(TargetSessionAttrs::ReadWrite)
        .connect_timeout(LONGEST_REACH)
        .tcp_user_timeout(LONGEST_SILENCE)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE)
        .keepalives_retries(KEEPALIVES);
    config
}
