//! A conformance kit: tells which promise of the contract a store breaks.
//!
//! [`check_store`] commits every change where its condition holds and where it does not, and compares the outcome and all that can be read
//! with the store in memory. [`check_races`] does the same thing at once on several threads. Run both against an empty
//! store in your tests:
//!
//! ```
//! use gatepass_core::store::check::check_store;
//! use gatepass_core::store::memory::MemoryStore;
//!
//! let report = check_store(&MemoryStore::default()).expect("a store that keeps its promises");
//! println!("{report}");
//! ```
//!
//! The kit cannot see that a commit is durable before its outcome is returned, nor the audit rows, which no query reads, nor the
//! sweep. See `docs/embedding.md`.

mod case;
mod cases;
mod names;
mod pages;
mod queries;
mod races;
mod sample;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

pub use races::{Job, check_races};

use crate::base::secret::SecretBytes;
use crate::records::signing_key::StoredKey;
use crate::store::Store;
use crate::store::memory::Tables;
use case::Case;
use names::{change_name, query_name};
use sample::Sample;

use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query, Records};

/// The work of a store that kept every promise.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// The cases that were tried.
    pub cases: usize,
    /// The commits among them.
    pub commits: usize,
    /// The answers that were compared.
    pub reads: usize,
    /// The changes whose conditions and effects were seen.
    pub changes: BTreeSet<&'static str>,
    /// The queries that were asked.
    pub queries: BTreeSet<&'static str>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, commits, reads, .. } = self;
        write!(f, "every promise was kept: {cases} cases, {commits} commits, {reads} reads")
    }
}

/// The first promise that a store broke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenPromise {
    /// The change or the query, such as `SpendTicket`.
    pub subject: String,
    /// The case, such as "a spent ticket is spent again".
    pub case: &'static str,
    /// The behaviour of the store, and the right one.
    pub found: String,
}

impl fmt::Display for BrokenPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}. {}.", self.subject, self.case, self.found)
    }
}

impl core::error::Error for BrokenPromise {}

/// Holds `store` to every change and every query of the contract, one after another. It should be empty, and in use by nobody else;
/// records of the check stay in it.
///
/// # Errors
/// [`BrokenPromise`] says which change or query, in which case, and what the store did.
pub fn check_store(store: &impl Store) -> Result<Report, BrokenPromise> {
    let start = store.read(&Query::Generation);
    if start.records != Records::Generation {
        let found = format!("The store answers {:?}", start.records);
        return Err(BrokenPromise { subject: "Generation".into(), case: "an empty store is read", found });
    }
    let Records::Keys(records) = store.read(&Query::Keys).records else {
        let found = "The store answers another question".into();
        return Err(BrokenPromise { subject: "Query::Keys".into(), case: "an empty store is read", found });
    };
    // Their private parts are not read again.
    let unread = |record| StoredKey { record, private_jwk: SecretBytes::new(Vec::new()) };
    let keys = records.keys.into_iter().map(unread).collect();
    let mut check = Check { store, start, keys, report: Report::default() };
    for (number, (case, make)) in (0..).zip(cases::ALL.iter().copied().flatten()) {
        let sample =
            Sample { number, state_epoch: check.start.state_epoch, generation: check.start.generation };
        check.run(case, sample, &make(&sample))?;
        check.report.cases += 1;
    }
    Ok(check.report)
}

struct Check<'a, S> {
    store: &'a S,
    start: Found,
    /// The keys so far: each case has those of the ones before.
    keys: Vec<StoredKey>,
    report: Report,
}

impl<S: Store> Check<'_, S> {
    fn run(&mut self, name: &'static str, sample: Sample, case: &Case) -> Result<(), BrokenPromise> {
        let Found { generation, state_epoch, .. } = self.start;
        let keys = self.keys.clone();
        let mut expected = Tables { generation, state_epoch, keys, ..Tables::default() };
        self.commit(&mut expected, name, sample.everybody(), Outcome::Applied)?;
        for change in &case.before {
            self.commit(&mut expected, name, Vec::from([change.clone()]), Outcome::Applied)?;
        }
        if case.outcome == Outcome::Applied {
            self.commit(&mut expected, name, case.changes.clone(), Outcome::Applied)?;
        } else {
            // Something that must not stay, before and after.
            let other = sample.issue(4);
            let after = case.changes.iter().cloned().chain([other.clone()]).collect();
            self.commit(&mut expected, name, after, case.outcome)?;
            let before = [other].into_iter().chain(case.changes.iter().cloned()).collect();
            self.commit(&mut expected, name, before, case.outcome)?;
        }
        for query in queries::about(&sample) {
            self.read(&expected, name, &query, case)?;
        }
        let wrong = |(asked, found): pages::Wrong| self.broken(asked, name, case, &found);
        let asked = pages::check(self.store, &sample, &expected).map_err(wrong)?;
        self.report.reads += asked.len();
        self.report.queries.extend(asked);
        // The next case finds few users, however many came before.
        let users = expected.users.keys().cloned().map(Change::DeleteUser);
        let all = users.chain(expected.clients.keys().cloned().map(Change::DeleteClient)).collect();
        self.commit(&mut expected, name, all, Outcome::Applied)?;
        (self.start.generation, self.keys) = (expected.generation, expected.keys);
        Ok(())
    }

    fn commit(
        &mut self,
        expected: &mut Tables,
        case: &'static str,
        changes: Vec<Change>,
        outcome: Outcome,
    ) -> Result<(), BrokenPromise> {
        let Some((subject, why)) = subject(expected, &changes) else { return Ok(()) };
        expected.commit(&changes);
        self.report.changes.extend(changes.iter().map(change_name));
        self.report.commits += 1;
        let changes = changes.into();
        let found = self.store.commit(&changes);
        if found == outcome {
            return Ok(());
        }
        let promise = match outcome {
            Outcome::Conflict => format!("it holds only where {why}, and nothing is written otherwise"),
            Outcome::Applied | Outcome::NotApplied | Outcome::Unknown => "its condition holds".to_string(),
        };
        let found = format!("The store answers {found:?} where {outcome:?} is right: {promise}");
        Err(BrokenPromise { subject: subject.into(), case, found })
    }

    fn read(
        &mut self,
        expected: &Tables,
        name: &'static str,
        query: &Query,
        case: &Case,
    ) -> Result<(), BrokenPromise> {
        let asked = query_name(query);
        self.report.queries.insert(asked);
        self.report.reads += 1;
        let expected = queries::in_order(expected.read(query));
        let found = queries::in_order(self.store.read(query));
        if found == expected {
            return Ok(());
        }
        let difference = queries::difference(&expected, &found);
        Err(self.broken(asked, name, case, &difference))
    }

    /// Tells that a query found something else than it should.
    fn broken(&self, asked: &'static str, name: &'static str, case: &Case, found: &str) -> BrokenPromise {
        let found = match case.outcome {
            Outcome::Applied => format!("Afterwards `Query::{asked}` finds {found}"),
            Outcome::Conflict | Outcome::NotApplied | Outcome::Unknown => {
                format!("Nothing may be written then, but `Query::{asked}` finds {found}")
            }
        };
        let change = case.changes.last().map(change_name);
        let subject = change.map_or_else(|| format!("Query::{asked}"), String::from);
        BrokenPromise { subject, case: name, found }
    }
}

/// Returns the change that decides how `changes` go, and what must hold for it: the first whose condition does not hold, or else
/// the last. None where there is no change.
fn subject(tables: &Tables, changes: &[Change]) -> Option<(&'static str, &'static str)> {
    let mut tables = tables.clone();
    for change in changes {
        if let Some((guard, _)) = tables.guards(change).into_iter().find(|(_, holds)| !holds) {
            return Some((change_name(change), guard.meaning().1.trim_end_matches('.')));
        }
        tables.commit(core::slice::from_ref(change));
    }
    changes.last().map(|change| (change_name(change), ""))
}
