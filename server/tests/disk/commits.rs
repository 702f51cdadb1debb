//! Commits to a store on a failing disk, what each reported, and what must be there afterwards.

use gatepass::store::{Access, AuditRow, Store};
use gatepass_core::base::time::Time;
use gatepass_core::records::session::RefreshDigest;
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Query, Records, TokenQuery};

use crate::disk_fixture::{DATA, DiskFixture};
use crate::fixture::*;

/// A commit. Tickets and sessions are numbered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Commit {
    Issue(u64),
    Redeem(u64),
    /// Many rows, so that the log grows and is copied into the file.
    Fill(u64),
}

/// A commit and the outcome that was reported; `None` while it was running.
#[derive(Clone, Debug)]
pub(crate) struct ReportedCommit {
    pub(crate) commit: Commit,
    pub(crate) outcome: Option<Outcome>,
}

/// The commits before most operations.
pub(crate) const BEFORE: &[Commit] = &[Commit::Issue(0), Commit::Redeem(0), Commit::Issue(1)];

/// Opens a store as a command does, and commits [`BEFORE`].
pub(crate) fn committed(fixture: &DiskFixture) -> Store {
    let store = fixture.open(Access::Write).unwrap();
    apply(&store, BEFORE);
    store
}

/// Starts a server. Returns true if it started.
pub(crate) fn starts(fixture: &DiskFixture, store: &mut Option<Store>) -> bool {
    *store = fixture.open(Access::Serve).ok();
    store.is_some()
}

/// Continues after [`starts`], whether it failed or not.
pub(crate) fn go_on_after_start(
    fixture: &DiskFixture,
    store: &mut Option<Store>,
    case: &dyn std::fmt::Debug,
) {
    let store = store.get_or_insert_with(|| fixture.serve(case));
    assert_eq!(store.notices(), [], "{case:?}");
    apply(store, &[Commit::Issue(7)]);
}

/// Returns `commits`, each reported as applied.
pub(crate) fn applied(commits: &[Commit]) -> Vec<ReportedCommit> {
    commits.iter().map(|commit| ReportedCommit { commit: *commit, outcome: Some(Outcome::Applied) }).collect()
}

/// Commits each of `commits`, which must be applied.
pub(crate) fn apply(store: &Store, commits: &[Commit]) {
    for commit in commits {
        assert_eq!(commit.on(store), Outcome::Applied, "{commit:?}");
    }
}

/// Commits twice on a repaired disk, and expects one to be applied: a connection that had the file open during a failed
/// sync gets the error once, as on Linux.
pub(crate) fn recover(store: &Store, commits: [Commit; 2], case: &dyn std::fmt::Debug) {
    // A server's maintenance does this.
    store.make_reserve();
    let [first, second] = commits.map(|commit| commit.on(store));
    assert!(first == Outcome::Applied || second == Outcome::Applied, "{case:?}: the store did not recover");
}

impl Commit {
    pub(crate) fn on(self, store: &Store) -> Outcome {
        let changes = match self {
            Self::Issue(i) => {
                // A request that cannot read never commits.
                let Some((state_epoch, _)) = look_for(store, i) else { return Outcome::NotApplied };
                let ticket = Ticket { state_epoch, ..ticket(i) };
                vec![Change::InsertTicket(ticket), Change::Audit(event(Kind::TicketIssued, i))]
            }
            Self::Redeem(i) => {
                // A ticket is valid only in the epoch that it was issued in.
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

/// Returns the state epoch and a ticket, or `None` if the store cannot be read.
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

/// Checks a reopened store against the reported outcomes. What was reported as applied is there, what was reported as not
/// applied is not, anything else is there as a whole or not at all; and the store still works.
pub(crate) fn hold(store: &Store, told: &[ReportedCommit], case: &dyn std::fmt::Debug) {
    let report = store.check().unwrap();
    assert!(report.is_sound() && report.keys == 2, "{case:?}: {report:?}");
    let rows = audit(store);
    let count = |kind, i| {
        let is = |row: &&AuditRow| row.event.kind == kind && row.event.ticket == Some(ticket(i).id);
        rows.iter().filter(is).count()
    };
    for ReportedCommit { commit, outcome } in told {
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

/// Checks that a ticket can be issued and redeemed once.
pub(crate) fn go_on(store: &Store, case: &dyn std::fmt::Debug) {
    assert_eq!(Commit::Issue(1000).on(store), Outcome::Applied, "{case:?}");
    assert_eq!(Commit::Redeem(1000).on(store), Outcome::Applied, "{case:?}");
    assert_eq!(Commit::Redeem(1000).on(store), Outcome::Conflict, "{case:?}");
}

/// Closes a store, and checks that its log is empty.
pub(crate) fn close(fixture: &DiskFixture, store: &Store, case: &dyn std::fmt::Debug) {
    store.close().unwrap_or_else(|error| panic!("{case:?}: {error}"));
    let log = fixture.disk.image().file(&format!("{DATA}/gatepass.db-wal"));
    assert!(log.is_none_or(|log| log.is_empty()), "{case:?}: the log is not empty");
}

/// Opens as a server does, and checks the store against `told`.
pub(crate) fn serve_and_hold(fixture: &DiskFixture, told: &[ReportedCommit], case: &dyn std::fmt::Debug) {
    let store = fixture.serve(case);
    hold(&store, told, case);
    close(fixture, &store, case);
}

fn session_is_there(store: &Store, number: u64) -> bool {
    let query = TokenQuery {
        caller: None,
        access: None,
        refresh: Some(RefreshDigest(digest(number))),
        assertion: None,
    };
    let Records::Token(found) = store.read(&Query::Token(query)).records else { panic!("unreadable") };
    found.family.is_some()
}
