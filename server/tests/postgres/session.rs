//! A connection of the tests to a database, beside the store.

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage};

/// An open connection.
pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    pub(crate) fn open(url: &str) -> Self {
        Self::try_open(url).unwrap()
    }

    pub(crate) fn try_open(url: &str) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut config: Config = url.parse().unwrap();
        config.application_name("test");
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, Error>(client)
        })?;
        Ok(Self { runtime, client })
    }

    /// Runs statements.
    pub(crate) fn run(&self, sql: &str) -> Result<(), Error> {
        self.runtime.block_on(self.client.batch_execute(sql))
    }

    /// Runs a query, and returns its rows as texts; an empty one for NULL.
    pub(crate) fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        let messages = self.runtime.block_on(self.client.simple_query(sql))?;
        let row = |message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            Some((0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect())
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// Returns the only value of a query.
    pub(crate) fn value(&self, sql: &str) -> String {
        self.rows(sql).unwrap().remove(0).remove(0)
    }

    /// Asks again and again until the answer is yes.
    pub(crate) fn wait_until(&self, sql: &str) {
        while self.value(sql) != "t" {
            std::thread::yield_now();
        }
    }

    /// Returns the number by which the server knows the connection.
    pub(crate) fn pid(&self) -> String {
        self.value("SELECT pg_backend_pid()")
    }
}
