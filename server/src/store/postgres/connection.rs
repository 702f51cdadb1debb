//! A connection to the database: pipelined statements, each prepared once, and what the server says beside its answers.

use std::collections::HashMap;
use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{join_all, poll_fn, ready};
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::tls::{MakeTlsConnect, TlsStream};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Row, RowStream, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::load::{Parameter, Statement};
use super::text::original;
use crate::store::rows::Value;

/// The reason why the database did not do what it was asked.
#[derive(Debug)]
pub(super) enum DatabaseError {
    /// It answered with an error: the transaction wrote nothing.
    Refused(tokio_postgres::Error),
    /// The connection was lost, or it took too long.
    Lost(String),
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => f.write_str(&said(error)),
            Self::Lost(cause) => f.write_str(cause),
        }
    }
}

fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) if *said.code() == SqlState::TOO_MANY_CONNECTIONS => {
            format!("{} ({}): raise max_connections there", said.message(), said.code().code())
        }
        Some(said) if *said.code() == SqlState::LOCK_NOT_AVAILABLE => {
            format!("{} ({}): something else holds it; try again", said.message(), said.code().code())
        }
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => told(error),
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        // An error that ends the session says nothing of what was under way: a server that fails as it commits may have committed.
        match error.as_db_error().and_then(DbError::parsed_severity) {
            Some(Severity::Error) => Self::Refused(error),
            Some(_) | None => Self::Lost(said(&error)),
        }
    }
}

/// Returns an error with its causes, and the way out if it is a missing password.
fn told(error: &tokio_postgres::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    if causes.iter().any(|cause| cause == "password missing") {
        return "it asks for a password: name a file with it by store_password_file, or set GATEPASS_STORE_PASSWORD".into();
    }
    [error.to_string()].into_iter().chain(causes).collect::<Vec<_>>().join(": ")
}

impl DatabaseError {
    /// Returns true if the same transaction may go through when it is tried again: it was chosen to end a deadlock, could not be put in
    /// order with another one, waited too long for a lock, or met a row that another one has inserted meanwhile.
    pub(super) fn is_passing(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        error.code().is_some_and(|state| {
            [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::LOCK_NOT_AVAILABLE,
                SqlState::UNIQUE_VIOLATION,
                SqlState::FOREIGN_KEY_VIOLATION,
            ]
            .contains(state)
        })
    }

    /// Returns true if there was no room on the server's disk.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Some(&SqlState::DISK_FULL))
    }

    /// Returns true if a row of the key is there already.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }
}

/// The settings of each connection. A statement is planned once, and not for its values, since planning takes longer than the rest; and by
/// the indices, which each has, also while a table is small. Who holds locks and says nothing is ended.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off; \
     SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'";

/// An open connection.
pub(super) struct Connection {
    client: Client,
    statements: Mutex<HashMap<&'static str, tokio_postgres::Statement>>,
    notices: Arc<Notices>,
}

/// The notices that the server has sent beside its answers.
#[derive(Debug, Default)]
struct Notices {
    /// It gave up waiting for its standby: what it committed since may be lost with it.
    not_replicated: AtomicBool,
}

impl Connection {
    /// Connects, encrypted if there is `tls`.
    pub(super) async fn open(
        config: &Config,
        tls: Option<MakeRustlsConnect>,
        longest: Duration,
    ) -> Result<Self, DatabaseError> {
        let opened = async {
            match tls {
                Some(tls) => Self::open_by(config, tls).await,
                None => Self::open_by(config, NoTls).await,
            }
        };
        let opened = tokio::time::timeout(longest, opened).await;
        opened.map_err(|_| DatabaseError::Lost("it does not answer".into()))?
    }

    async fn open_by<T>(config: &Config, tls: T) -> Result<Self, DatabaseError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: TlsStream + Send + 'static,
    {
        let (client, mut connection) = config.connect(tls).await?;
        let notices = Arc::<Notices>::default();
        let heard = Arc::clone(&notices);
        tokio::spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) if *notice.code() == SqlState::WARNING => {
                        tracing::warn!(notice = notice.message(), "the database warns");
                        heard.not_replicated.store(true, Ordering::Release);
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        let opened = Self { client, statements: Mutex::default(), notices };
        opened.run(SETTINGS).await?;
        Ok(opened)
    }

    /// Returns true if the connection was lost.
    pub(super) fn is_lost(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns true if a commit may not have reached the standby, and forgets it.
    pub(super) fn was_not_replicated(&self) -> bool {
        self.notices.not_replicated.swap(false, Ordering::AcqRel)
    }

    /// Runs statements without parameters, whose rows nobody reads.
    pub(super) async fn run(&self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Ends the transaction without a trace. Returns false if the connection is of no use any more.
    pub(super) async fn roll_back(&self, longest: Duration) -> bool {
        matches!(tokio::time::timeout(longest, self.run("ROLLBACK")).await, Ok(Ok(())))
    }

    /// Prepares a statement, once.
    async fn prepared(&self, sql: &'static str) -> Result<tokio_postgres::Statement, DatabaseError> {
        let known = |statements: &Mutex<HashMap<&'static str, tokio_postgres::Statement>>| {
            statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
        };
        if let Some(statement) = known(&self.statements) {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(statements.entry(sql).or_insert(statement).clone())
    }

    /// Runs a statement without parameters, and returns its rows as they come.
    pub(super) async fn stream(&self, sql: &str) -> Result<RowStream, DatabaseError> {
        let none: [&(dyn ToSql + Sync); 0] = [];
        Ok(self.client.query_raw(sql, none).await?)
    }

    /// Runs one statement.
    pub(super) async fn query(
        &self,
        sql: &'static str,
        parameters: &[Parameter],
    ) -> Result<Vec<Row>, DatabaseError> {
        let statement = self.prepared(sql).await?;
        let parameters: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|p| &**p as &(dyn ToSql + Sync)).collect();
        Ok(self.client.query(&statement, &parameters).await?)
    }

    /// Runs `first`, all of `statements`, and `last` in one round trip, and returns the rows of each statement. The first error is that of
    /// the whole; what comes after it does nothing.
    pub(super) async fn pipeline(
        &self,
        first: &'static str,
        statements: Vec<Statement>,
        last: &'static str,
    ) -> Result<Vec<Vec<Row>>, DatabaseError> {
        self.send(first, statements, last).await?.await
    }

    /// Sends what [`Connection::pipeline`] runs. What is sent afterwards runs afterwards, also before the answers are awaited.
    pub(super) async fn send(
        &self,
        first: &'static str,
        statements: Vec<Statement>,
        last: &'static str,
    ) -> Result<Answers<'_>, DatabaseError> {
        // One that is new is prepared before: nothing may come between.
        for (sql, _) in &statements {
            self.prepared(sql).await?;
        }
        let mut answers: Answers<'_> = Box::pin(async move {
            let each = join_all(statements.iter().map(|(sql, parameters)| self.query(sql, parameters)));
            // Each is sent when it is first polled, in this order.
            let (begun, each, ended) = tokio::join!(biased; self.run_some(first), each, self.run_some(last));
            begun?;
            let rows = each.into_iter().collect::<Result<Vec<_>, _>>()?;
            ended?;
            Ok(rows)
        });
        match poll_fn(|context| Poll::Ready(answers.as_mut().poll(context))).await {
            Poll::Ready(answered) => Ok(Box::pin(ready(answered))),
            Poll::Pending => Ok(answers),
        }
    }

    async fn run_some(&self, sql: &str) -> Result<(), DatabaseError> {
        if sql.is_empty() { Ok(()) } else { self.run(sql).await }
    }
}

/// The answers to what was sent: the rows of each statement.
pub(super) type Answers<'c> = Pin<Box<dyn Future<Output = Result<Vec<Vec<Row>>, DatabaseError>> + Send + 'c>>;

impl crate::store::rows::Row for Row {
    fn value(&self, column: usize) -> Option<Value<'_>> {
        let kind = self.columns().get(column)?.type_().clone();
        if kind == Type::INT8 {
            self.try_get::<_, Option<i64>>(column).ok().map(Value::from)
        } else if kind == Type::TEXT {
            let text = self.try_get::<_, Option<&str>>(column).ok()?;
            Some(text.map_or(Value::Null, |text| Value::Text(original(text))))
        } else if kind == Type::BYTEA {
            self.try_get::<_, Option<&[u8]>>(column).ok().map(Value::from)
        } else {
            None
        }
    }
}
