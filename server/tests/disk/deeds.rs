//! What is done to a store on a failing disk, what was told of it, and what has to be there afterwards.

use std::sync::{Arc, LazyLock};

use gatepass::master_key::MasterKey;
use gatepass::store::{DATABASE, Store, StoreOptions};
use gatepass_core::audit::Kind;
use gatepass_core::model::change::{Change, Outcome};
use gatepass_core::model::query::{Query, Records, TokenQuery};
use gatepass_core::model::session::RefreshDigest;
use gatepass_core::model::ticket::TicketState;
use gatepass_core::store::Store as _;
use gatepass_core::time::Time;

use crate::disk::{Disk, Files};
use crate::fixture::*;
use crate::vfs::{mount, unmount};

/// A commit. Tickets and sessions are numbered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Deed {
    Issue(u64),
    Redeem(u64),
    /// So many rows that the log is copied into the file afterwards, and begins anew.
    Fill(u64),
}

/// A commit, and what was told of it; nothing while it was under way.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) deed: Deed,
    pub(crate) outcome: Option<Outcome>,
}

impl Deed {
    pub(crate) fn on(self, store: &Store) -> Outcome {
        let changes = match self {
            Self::Issue(i) => {
                vec![Change::InsertTicket(ticket(i)), Change::Audit(event(Kind::TicketIssued, i))]
            }
            Self::Redeem(i) => redemption(i, i),
            Self::Fill(from) => (from..from + 520)
                .map(|i| Change::RevokeToken { token_id: i.to_string(), expires_at: Time::from_unix(i) })
                .collect(),
        };
        commit(store, changes)
    }
}

/// A directory on a disk of its own.
pub(crate) struct Site {
    place: Place,
    pub(crate) disk: Arc<Disk>,
}

impl Drop for Site {
    fn drop(&mut self) {
        unmount(self.place.dir());
    }
}

/// The world, closed, and the key it was made with.
static WORLD: LazyLock<(Files, MasterKey)> = LazyLock::new(|| {
    let place = Place::empty();
    let disk = Arc::new(Disk::new(Files::new()));
    mount(place.dir(), &disk);
    let tables = gatepass_tests::world::tables();
    let users = tables.users.into_values().map(Change::InsertUser);
    let clients = tables.clients.into_values().map(Change::InsertClient);
    assert_eq!(commit(&place.store(), users.chain(clients)), Outcome::Applied);
    unmount(place.dir());
    (disk.files(), place.master())
});

impl Site {
    /// The world, on a disk that does not fail yet.
    pub(crate) fn new() -> Self {
        Self::on(WORLD.0.clone())
    }

    /// These files, on another disk.
    pub(crate) fn on(files: Files) -> Self {
        let (place, disk) = (Place::empty(), Arc::new(Disk::new(files)));
        // The store makes and syncs a real file where there is none.
        std::fs::write(place.dir().join(DATABASE), "").unwrap();
        mount(place.dir(), &disk);
        Self { place, disk }
    }

    pub(crate) fn open(&self) -> Store {
        let options = StoreOptions { readers: 1, ..StoreOptions::default() };
        Store::open(self.place.dir(), &WORLD.1, &options).expect("it opens without anybody's help")
    }
}

/// Holds a store that was opened again to what was told. What was told to be applied is there, what was told not to be is
/// not, of anything else all is there or nothing; and work goes on.
pub(crate) fn hold(store: &Store, told: &[Told], case: &dyn std::fmt::Debug) {
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{case:?}: {report:?}");
    let rows = audit(store);
    let count = |kind, i| {
        let is = |row: &&gatepass::store::AuditRow| {
            row.event.kind == kind && row.event.ticket == Some(ticket(i).id)
        };
        rows.iter().filter(is).count()
    };
    for Told { deed, outcome } in told {
        let there = match *deed {
            Deed::Issue(i) => {
                let there = state(store, i).is_some();
                assert_eq!(count(Kind::TicketIssued, i), usize::from(there), "{case:?}: {deed:?} in halves");
                there
            }
            Deed::Redeem(i) => {
                let spent = matches!(state(store, i), Some(TicketState::Spent(_)));
                assert_eq!(
                    count(Kind::TicketRedeemed, i),
                    usize::from(spent),
                    "{case:?}: {deed:?} in halves"
                );
                assert_eq!(session_is_there(store, i), spent, "{case:?}: {deed:?} in halves");
                spent
            }
            Deed::Fill(_) => continue,
        };
        match outcome {
            Some(Outcome::Applied) => assert!(there, "{case:?}: {deed:?} was applied, and is gone"),
            Some(Outcome::NotApplied | Outcome::Conflict) => {
                assert!(!there, "{case:?}: {deed:?} was not applied, and came back");
            }
            Some(Outcome::Unknown) | None => {}
        }
    }
    assert_eq!(Deed::Issue(1000).on(store), Outcome::Applied, "{case:?}");
    assert_eq!(Deed::Redeem(1000).on(store), Outcome::Applied, "{case:?}");
}

fn session_is_there(store: &Store, number: u64) -> bool {
    let query = TokenQuery { caller: None, access: None, refresh: Some(RefreshDigest(digest(number))) };
    let Records::Token(found) = store.read(&Query::Token(query)).records else { panic!("unreadable") };
    found.family.is_some()
}
