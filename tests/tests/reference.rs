//! The core against the reference model, on both stores: random sequences of all operations.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use gatepass::store::prelude::*;
use std::cell::RefCell;
use std::sync::Arc;

use gatepass::store::{Access, Create, DATABASE, Installation, Store, StoreOptions};
use gatepass_core::base::time::Time;
use gatepass_core::settings::Unenrolled;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Found, Query};
use gatepass_tests::memory::Memory;
use gatepass_tests::reference::{
    Coverage, LONGEST, RestartableStore, Rules, agrees_with_memory, config, operations, rules, run, seldom,
    system::tables, told,
};
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

/// A database in a directory of its own.
struct File {
    dir: TempDir,
    /// `None` while it is closed.
    store: Option<Store>,
}

impl File {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut file = Self { dir, store: None };
        file.restart();
        let tables = tables();
        let changes = tables.users.into_values().map(Change::InsertUser);
        let changes = changes.chain(tables.clients.into_values().map(Change::InsertClient));
        let passwords = tables.passwords.into_iter();
        let changes = changes
            .chain(passwords.map(|(user, password)| Change::SetPassword { user, hash: password.hash }));
        assert_eq!(file.commit(&changes.collect::<Vec<_>>().into()), Outcome::Applied);
        file
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open")
    }
}

impl gatepass_core::store::Store for File {
    fn read(&self, query: &Query) -> Found {
        self.store().read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.store().commit(changes)
    }
}

impl RestartableStore for File {
    fn restart(&mut self) {
        self.store = None;
        let (installation, options) = (Installation::at(self.dir.path()), StoreOptions::default());
        let store = Store::open_or_create(&installation, Access::Write, Create::InEmpty, &options);
        self.store = Some(store.expect("a store"));
    }

    fn sweep(&mut self, now: Time) {
        self.store().sweep(now, 1_000).expect("it can be swept");
    }

    fn set_state_epoch(&mut self, epoch: u64) {
        let sql = rusqlite::Connection::open(self.dir.path().join(DATABASE)).expect("the file");
        let epoch = i64::try_from(epoch).expect("a number that the file holds");
        assert_eq!(sql.execute("UPDATE meta SET state_epoch = ?1", [epoch]), Ok(1));
    }
}

#[test]
fn the_core_answers_as_the_model_does() {
    let coverage = RefCell::new(Coverage::default());
    let mut runner = TestRunner::new(config(1_400));
    let agreed = runner.run(&(rules(), operations(LONGEST)), |(rules, operations)| {
        run(rules, &operations, Memory::new(tables()), &mut coverage.borrow_mut()).map(drop)
    });
    let mut coverage = coverage.into_inner();
    let rules = Rules { always: false, unenrolled: Unenrolled::SignIn, separate: true };
    for operations in seldom() {
        let answers = run(rules, &operations, Memory::new(tables()), &mut coverage);
        answers.unwrap_or_else(|failure| panic!("{failure}"));
    }
    agreed.unwrap_or_else(|failure| panic!("{}", told(failure)));
    println!("{coverage}{} operations", coverage.operations());
    let (unmet, beside) = coverage.compared();
    let same = std::env::var_os("PROPTEST_CASES").is_none();
    assert!(!same || unmet.is_empty() && beside.is_empty(), "never met: {unmet:?}; not foreseen: {beside:?}");
}

#[test]
fn a_file_answers_as_memory_does() {
    println!("{} operations", agrees_with_memory(80, File::new).operations());
}
