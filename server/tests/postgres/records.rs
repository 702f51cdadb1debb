//! Records that the tests write, and the processes that write them.

use std::sync::Arc;

use gatepass::store::postgres::PostgresStore;
use gatepass::store::prelude::*;
use gatepass::store::{Access, Create, Installation, StoreOptions};
use gatepass_core::base::time::Time;
use gatepass_core::records::id::{ClientId, SessionId, TicketId, UserId};
use gatepass_core::records::scope::Scope;
use gatepass_core::records::session::{Purpose, RefreshDigest, RefreshToken, Session};
use gatepass_core::records::ticket::{Ticket, TicketDigest, TicketState};
use gatepass_core::store::Store;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::fixtures;
use tempfile::TempDir;

pub(crate) const NOW: Time = fixtures::NOON;

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
        let tables = fixtures::tables();
        let users = tables.users.into_values().map(Change::InsertUser);
        let clients = tables.clients.into_values().map(Change::InsertClient);
        assert_eq!(self.commit(users.chain(clients)), Outcome::Applied);
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
        let changes: Arc<[Change]> = changes.into_iter().collect();
        self.store.commit(&changes)
    }
}

pub(crate) fn alice() -> UserId {
    UserId::parse("usr_alice").unwrap()
}

pub(crate) fn portal() -> ClientId {
    ClientId::parse("portal").unwrap()
}

pub(crate) fn digest(number: u64) -> [u8; 32] {
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

pub(crate) fn ticket(number: u64) -> Ticket {
    Ticket {
        id: TicketId::parse(&format!("tid_{number}")).unwrap(),
        digest: TicketDigest(digest(number)),
        user_id: alice(),
        client_id: portal(),
        issuer: None,
        for_audience: false,
        bind: false,
        scope: Scope::parse("profile").unwrap(),
        client_ip: None,
        impersonation: None,
        issued_at: NOW,
        expires_at: NOW.plus(300),
        state: TicketState::Live,
        state_epoch: 0,
        client_epoch: Some(0),
    }
}

pub(crate) fn session(number: u64) -> Session {
    Session {
        id: SessionId::parse(&format!("ses_{number}")).unwrap(),
        user_id: alice(),
        user_epoch: 0,
        actor: None,
        client_id: portal(),
        bind: false,
        for_audience: false,
        purpose: Purpose::Anything,
        scope: Scope::parse("profile").unwrap(),
        auth_time: NOW,
        methods: vec!["ticket".into()],
        expires_at: NOW.plus(86_400),
        ended_at: None,
        state_epoch: 0,
        client_epoch: Some(0),
        issuer: None,
        signed_in_at: NOW,
    }
}

/// Inserts a session with its first refresh token, whose numbers are the same.
pub(crate) fn begin(number: u64) -> Change {
    let session = session(number);
    let refresh = RefreshToken {
        digest: RefreshDigest(digest(number)),
        session_id: session.id.clone(),
        issued_at: session.auth_time,
        expires_at: session.expires_at,
        rotation: None,
        number: 0,
        refreshes: 0,
        recorded_at: None,
    };
    Change::InsertSession { session, refresh: Some(refresh) }
}

pub(crate) fn spend(number: u64) -> Change {
    Change::SpendTicket { digest: ticket(number).digest, at: NOW.plus(1), delivery: None }
}

/// Returns the changes of a redemption.
pub(crate) fn redemption(number: u64, session: u64) -> [Change; 6] {
    let event = Event {
        ticket: Some(ticket(number).id),
        subject: Some(alice()),
        ..Event::new(Kind::TicketRedeemed, NOW)
    };
    [
        Change::RequireStateEpoch(0),
        Change::RequireUserEpoch { id: alice(), epoch: 0 },
        Change::RequireClientEpoch { id: portal(), epoch: 0 },
        spend(number),
        begin(session),
        Change::Audit(event),
    ]
}
