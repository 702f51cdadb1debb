//! What is committed to a store on a failing disk, what was told of it, and what has to be there afterwards.

use gatepass::store::{AuditRow, Store};
use gatepass_core::base::time::Time;
use gatepass_core::records::session::RefreshDigest;
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Query, Records, TokenQuery};

use crate::fixture::*;
use crate::site::{DATA, Site};

/// A commit. Tickets and sessions are numbered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Commit {
    Issue(u64),
    Redeem(u64),
    /// Many rows, so that the log grows and is copied into the file.
    Fill(u64),
}

/// A commit, and what was told of it; nothing while it was under way.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) commit: Commit,
    pub(crate) outcome: Option<Outcome>,
}

/// Returns these as told to be applied.
pub(crate) fn applied(commits: &[Commit]) -> Vec<Told> {
    commits.iter().map(|commit| Told { commit: *commit, outcome: Some(Outcome::Applied) }).collect()
}

/// Commits these. Each must be applied.
pub(crate) fn apply(store: &Store, commits: &[Commit]) {
    for commit in commits {
        assert_eq!(commit.on(store), Outcome::Applied, "{commit:?}");
    }
}

/// Commits on a disk that was mended. A connection that had the file open while a sync failed is told so once, by Linux too.
pub(crate) fn recover(store: &Store, commits: [Commit; 2], case: &dyn std::fmt::Debug) {
    // As a server's maintenance does.
    store.make_reserve();
    let [first, second] = commits.map(|commit| commit.on(store));
    assert!(first == Outcome::Applied || second == Outcome::Applied, "{case:?}: the store did not recover");
}

impl Commit {
    pub(crate) fn on(self, store: &Store) -> Outcome {
        let changes = match self {
            Self::Issue(i) => {
                // As a request that cannot be read for: it comes to no commit.
                let Some((state_epoch, _)) = look_for(store, i) else { return Outcome::NotApplied };
                let ticket = Ticket { state_epoch, ..ticket(i) };
                vec![Change::InsertTicket(ticket), Change::Audit(event(Kind::TicketIssued, i))]
            }
            Self::Redeem(i) => {
                // A ticket is good in the epoch that it was issued in.
                let Some((_, ticket)) = look_for(store, i) else { return Outcome::NotApplied };
                let mut changes = redemption(i, i);
                changes[0] = Change::RequireStateEpoch(ticket.map_or(0, |ticket| ticket.state_epoch));
                changes
            }
            Self::Fill(from) => (from..from + 520)
                .map(|i| Change::RevokeToken { token_id: i.to_string(), expires_at: Time::from_unix(i) })
                .collect(),
        };
        commit(store, changes)
    }
}

/// Returns the state's epoch and a ticket; none where the store cannot be read.
fn look_for(store: &Store, number: u64) -> Option<(u64, Option<Ticket>)> {
    let found = store.read(&Query::Ticket(ticket(number).digest));
    if found.records == Records::Unreadable {
        return None;
    }
    let Records::Ticket(records) = found.records else { panic!("{:?}", found.records) };
    Some((found.state_epoch, records.map(|records| records.ticket)))
}

fn find(store: &Store, number: u64) -> (u64, Option<Ticket>) {
    look_for(store, number).unwrap_or_else(|| panic!("ticket {number} cannot be read"))
}

pub(crate) fn ticket_is_there(store: &Store, number: u64) -> bool {
    find(store, number).1.is_some()
}

pub(crate) fn is_spent(store: &Store, number: u64) -> bool {
    find(store, number).1.is_some_and(|ticket| matches!(ticket.state, TicketState::Spent { .. }))
}

/// Holds a store that was opened again to what was told. What was told to be applied is there, what was told not to be is
/// not, of anything else all is there or nothing; and work goes on.
pub(crate) fn hold(store: &Store, told: &[Told], case: &dyn std::fmt::Debug) {
    let report = store.check().unwrap();
    assert!(report.is_sound() && report.keys == 2, "{case:?}: {report:?}");
    let rows = audit(store);
    let count = |kind, i| {
        let is = |row: &&AuditRow| row.event.kind == kind && row.event.ticket == Some(ticket(i).id);
        rows.iter().filter(is).count()
    };
    for Told { commit, outcome } in told {
        let there = match *commit {
            Commit::Issue(i) => {
                let there = ticket_is_there(store, i);
                assert_eq!(
                    count(Kind::TicketIssued, i),
                    usize::from(there),
                    "{case:?}: {commit:?} in halves"
                );
                there
            }
            Commit::Redeem(i) => {
                let spent = is_spent(store, i);
                let times = usize::from(spent);
                assert_eq!(count(Kind::TicketRedeemed, i), times, "{case:?}: {commit:?} in halves");
                assert_eq!(session_is_there(store, i), spent, "{case:?}: {commit:?} in halves");
                spent
            }
            Commit::Fill(_) => continue,
        };
        match outcome {
            Some(Outcome::Applied) => assert!(there, "{case:?}: {commit:?} was applied, and is gone"),
            Some(Outcome::NotApplied | Outcome::Conflict) => {
                assert!(!there, "{case:?}: {commit:?} was not applied, and came back");
            }
            Some(Outcome::Unknown) | None => {}
        }
    }
    go_on(store, case);
}

/// Checks that a ticket can be issued and is good once.
pub(crate) fn go_on(store: &Store, case: &dyn std::fmt::Debug) {
    assert_eq!(Commit::Issue(1000).on(store), Outcome::Applied, "{case:?}");
    assert_eq!(Commit::Redeem(1000).on(store), Outcome::Applied, "{case:?}");
    assert_eq!(Commit::Redeem(1000).on(store), Outcome::Conflict, "{case:?}");
}

/// Closes a store, and checks that its log is empty then.
pub(crate) fn close(site: &Site, store: &Store, case: &dyn std::fmt::Debug) {
    store.close().unwrap_or_else(|error| panic!("{case:?}: {error}"));
    let log = site.disk.image().file(&format!("{DATA}/gatepass.db-wal"));
    assert!(log.is_none_or(|log| log.is_empty()), "{case:?}: the log is not empty");
}

/// Opens as a server does, and holds that to what was told.
pub(crate) fn serve_and_hold(site: &Site, told: &[Told], case: &dyn std::fmt::Debug) {
    let store = site.serve(case);
    hold(&store, told, case);
    close(site, &store, case);
}

fn session_is_there(store: &Store, number: u64) -> bool {
    let query = TokenQuery { caller: None, access: None, refresh: Some(RefreshDigest(digest(number))) };
    let Records::Token(found) = store.read(&Query::Token(query)).records else { panic!("unreadable") };
    found.family.is_some()
}
