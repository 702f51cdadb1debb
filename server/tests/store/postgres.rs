//! A PostgreSQL database as one of the engines.

use std::path::Path;
use std::sync::Arc;

use gatepass::store::Backend;

use crate::cluster::Fixture;
use crate::engines::{Database, Engine};

impl Engine for Fixture {
    fn empty() -> Self {
        Self::empty()
    }

    fn open(&self) -> Arc<dyn Backend> {
        // One data directory serves one process.
        Arc::new(self.command())
    }

    fn set_state_epoch(&self, epoch: u64) {
        self.sql(&format!("UPDATE meta SET state_epoch = {epoch}"));
    }

    fn dump(&self) -> String {
        [
            ("users", "id"),
            ("clients", "id"),
            ("client_secrets", "client_id, position"),
            ("tickets", "digest"),
            ("sessions", "id"),
            ("refresh_tokens", "digest"),
            ("revoked_tokens", "token_id"),
            ("audit", "number"),
            ("deleted_users", "user_id"),
            ("keys", "seq"),
        ]
        .map(|(table, order)| self.sql(&format!("SELECT * FROM {table} ORDER BY {order}")))
        .concat()
    }

    fn clear(&self) {
        self.sql("DELETE FROM tickets; DELETE FROM sessions; DELETE FROM deleted_users");
    }
}

impl Database for Fixture {
    fn dir(&self) -> &Path {
        self.dir()
    }

    fn execute(&self, sql: &str) {
        self.sql(sql);
    }

    fn count(&self, from: &str) -> u64 {
        self.sql(&format!("SELECT count(*) FROM {from}")).trim().parse().unwrap()
    }
}
