//! Records that the tests write, and the processes that write them.

use gatepass::store::postgres::PostgresStore;
use gatepass::store::{Access, Create, Installation, StoreOptions};
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use tempfile::TempDir;

use crate::fixture::*;

/// A store with a data directory of its own, as a process has.
pub(crate) struct Process {
    pub(crate) dir: TempDir,
    pub(crate) store: PostgresStore,
}

impl Process {
    /// Opens an empty database, and inserts the users and clients of the test data.
    pub(crate) fn first(url: &str) -> Self {
        Self::at(url, tempfile::tempdir().unwrap()).with_records()
    }

    /// Opens an empty database as a command does, which writes nothing of its own accord.
    pub(crate) fn command(url: &str) -> Self {
        Self::open(url, tempfile::tempdir().unwrap(), Access::Write)
    }

    /// Inserts the users and clients of the test data.
    pub(crate) fn with_records(self) -> Self {
        insert_records(&self.store);
        self
    }

    /// Opens the same database, at another address perhaps, with the same master key.
    pub(crate) fn another(&self, url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = |dir: &TempDir| Installation::at(dir.path()).master_key();
        std::fs::copy(key(&self.dir), key(&dir)).unwrap();
        Self::at(url, dir)
    }

    /// Opens the database with a data directory that is there.
    pub(crate) fn at(url: &str, dir: TempDir) -> Self {
        Self::open(url, dir, Access::Serve)
    }

    fn open(url: &str, dir: TempDir, access: Access) -> Self {
        let installation = Installation::at(dir.path());
        let store = PostgresStore::open(
            &crate::cluster::server(url),
            &installation,
            access,
            Create::InEmpty,
            &StoreOptions::default(),
        )
        .unwrap();
        Self { dir, store }
    }

    /// Ends the process, and returns its data directory.
    pub(crate) fn stop(self) -> TempDir {
        self.store.close().unwrap();
        self.dir
    }

    pub(crate) fn commit(&self, changes: impl IntoIterator<Item = Change>) -> Outcome {
        commit(&self.store, changes)
    }
}

/// Returns the changes of a redemption.
pub(crate) fn redemption(number: u64, session: u64) -> [Change; 6] {
    [
        Change::RequireStateEpoch(0),
        Change::RequireUserEpoch { id: alice(), epoch: 0 },
        Change::RequireClientEpoch { id: portal(), epoch: 0 },
        spend(number),
        begin(session),
        Change::Audit(event(Kind::TicketRedeemed, number)),
    ]
}
