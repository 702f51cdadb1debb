//! The conformance kit: its report about a good store, and the faults that it finds.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use gatepass_core::store::Store;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::check::{BrokenPromise, check_races, check_store};
use gatepass_core::store::memory::{MemoryStore, Tables};
use gatepass_core::store::query::{Found, Query, Records, SessionPageQuery};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::Memory;

fn broken(store: &impl Store) -> BrokenPromise {
    match check_store(store) {
        Ok(report) => panic!("nothing was found: {report}"),
        Err(broken) => broken,
    }
}

fn at_once(jobs: &[&(dyn Fn() + Sync)]) {
    std::thread::scope(|scope| jobs.iter().for_each(|job| drop(scope.spawn(job))));
}

#[test]
fn the_store_in_memory_passes_and_every_change_and_query_was_seen() {
    let report = check_store(&MemoryStore::default()).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{report}");
    assert_eq!(report.changes, Change::NAMES.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(report.queries, Query::NAMES.iter().copied().collect::<BTreeSet<_>>());
    let start = Tables { state_epoch: 7, generation: 3, ..Tables::default() };
    check_store(&MemoryStore::new(start)).unwrap_or_else(|broken| panic!("{broken}"));
    check_races(&Memory::default(), at_once).unwrap_or_else(|broken| panic!("{broken}"));
}

/// A store with functions for its commits and for its answers.
struct Altered<C, R>(RefCell<Tables>, C, R);

impl<C, R> Store for Altered<C, R>
where
    C: Fn(&mut Tables, &[Change]) -> Outcome,
    R: Fn(&mut Found),
{
    fn read(&self, query: &Query) -> Found {
        let mut found = self.0.borrow().read(query);
        (self.2)(&mut found);
        found
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        (self.1)(&mut self.0.borrow_mut(), changes)
    }
}

fn committed(commit: impl Fn(&mut Tables, &[Change]) -> Outcome) -> String {
    broken(&Altered(RefCell::default(), commit, |_: &mut Found| {})).to_string()
}

fn found(alter: impl Fn(&mut Found)) -> String {
    broken(&Altered(
        RefCell::default(),
        |tables: &mut Tables, changes: &[Change]| tables.commit(changes),
        alter,
    ))
    .to_string()
}

#[test]
fn a_list_that_is_not_whole_is_found() {
    // The last record of a page is lost.
    let short = found(|found| {
        if let Records::UserPage(page) = &mut found.records {
            page.items.pop();
        }
    });
    assert!(short.contains("`Query::UserPage` finds no page with "), "{short}");
    // The first page is returned once more.
    let twice = found(|found| {
        if let Records::ClientPage(page) = &mut found.records {
            page.items.extend(page.items.first().cloned());
        }
    });
    assert!(twice.contains("`Query::ClientPage` finds ") && twice.contains(" twice"), "{twice}");
    // All sessions belong to one user.
    let tables = RefCell::<Tables>::default();
    let everybodys = broken(&EverybodysSessions(tables)).to_string();
    assert!(
        everybodys.contains("`Query::SessionPage` finds ") && everybodys.contains("another user's"),
        "{everybodys}"
    );
}

/// A store that lists all sessions as one user's.
struct EverybodysSessions(RefCell<Tables>);

impl Store for EverybodysSessions {
    fn read(&self, query: &Query) -> Found {
        let Query::SessionPage(asked) = query else { return self.0.borrow().read(query) };
        self.0.borrow().read(&Query::SessionPage(SessionPageQuery { user: None, ..asked.clone() }))
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        self.0.borrow_mut().commit(changes)
    }
}

#[test]
fn three_stores_that_break_one_promise_each_are_told_which() {
    // It writes each change by itself.
    let halves = committed(|tables, changes| {
        let each = changes.iter().map(|change| tables.commit(std::slice::from_ref(change)));
        let outcomes: Vec<Outcome> = each.collect();
        if outcomes.contains(&Outcome::Conflict) { Outcome::Conflict } else { Outcome::Applied }
    });
    assert_eq!(
        halves,
        "`InsertUser`: a user is inserted whose id is taken. Nothing may be written then, but `Query::Ticket` finds \
         `Some(` where `None` is right, in Found › records: Ticket."
    );
    // It takes the second redemption of a ticket for a repetition of the first.
    let twice = committed(|tables, changes| match (tables.commit(changes), changes) {
        (Outcome::Conflict, [Change::SpendTicket { .. }, ..]) => Outcome::Applied,
        (outcome, _) => outcome,
    });
    assert_eq!(
        twice,
        "`SpendTicket`: a spent ticket is spent again. The store answers Applied where Conflict is right: it holds only \
         where the ticket was neither spent nor revoked, and nothing is written otherwise."
    );
    // It lists sessions in no order.
    let unsorted = found(|found| {
        if let Records::Sessions(records) = &mut found.records {
            records.sessions.sort_by(|a, b| a.id.cmp(&b.id));
        }
    });
    let start = "`Query::Sessions`: a person's sessions are listed, the newest first. Afterwards `Query::Sessions` finds ";
    let end = "in Found › records: Sessions › SessionsRecords › sessions: › Session.";
    assert!(unsorted.starts_with(start) && unsorted.ends_with(end), "{unsorted}");
}

/// A store that checks first and writes later.
#[derive(Default)]
struct LooksFirst(Memory);

impl Store for LooksFirst {
    fn read(&self, query: &Query) -> Found {
        self.0.read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let outcome = self.0.with(|tables| tables.clone().commit(changes));
        if outcome == Outcome::Applied {
            std::thread::yield_now();
            self.0.with(|tables| {
                let unguarded = Guard::ALL.to_vec();
                let mut free = Tables { unguarded, ..std::mem::take(tables) };
                free.commit(changes);
                *tables = Tables { unguarded: vec![], ..free };
            });
        }
        outcome
    }
}

/// A store that writes one change after another, although all of them or none.
#[derive(Default)]
struct OneByOne(Memory);

impl Store for OneByOne {
    fn read(&self, query: &Query) -> Found {
        self.0.read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        let outcome = self.0.with(|tables| tables.clone().commit(changes));
        if outcome == Outcome::Applied && changes.len() == 2 {
            for change in changes.iter() {
                self.0.with(|tables| tables.commit(std::slice::from_ref(change)));
                std::thread::yield_now();
            }
            return Outcome::Applied;
        }
        self.0.commit(changes)
    }
}

#[test]
fn a_store_whose_commits_mix_is_found() {
    let told = |found: Result<_, BrokenPromise>| {
        found.map_or_else(|broken| broken.to_string(), |report| format!("{report}"))
    };
    let mixed = told(check_races(&LooksFirst::default(), at_once));
    assert!(mixed.contains("commits were applied where exactly one holds"), "{mixed}");
    assert!(check_store(&OneByOne::default()).is_ok(), "alone it keeps its promises");
    let torn = told(check_races(&OneByOne::default(), at_once));
    assert!(torn.contains("applied where exactly one holds") || torn.contains("half a commit"), "{torn}");
}
