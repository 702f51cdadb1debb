//! A data directory with the users and clients of the test data, and records to write.

use std::path::Path;
use std::sync::Arc;

pub(crate) use gatepass::store::prelude::*;
use gatepass::store::{
    Access, AuditFilter, AuditRow, Backend, Create, DATABASE, Installation, Store, StoreError, StoreOptions,
};
use gatepass_core::base::secret::SecretBytes;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::OtpHash;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::delivery::{Delivery, OpenedSession, RequestDigest};
use gatepass_core::records::factor::{OtpParameters, TotpDevice};
use gatepass_core::records::id::{ClientId, DeviceId, SessionId, TicketId, UserId, UserRef};
use gatepass_core::records::scope::Scope;
use gatepass_core::records::session::{Purpose, RefreshDigest, RefreshToken, Rotation, Salt, Session};
use gatepass_core::records::signing_key::{KeyRecord, KeyState, StoredKey};
use gatepass_core::records::ticket::{Ticket, TicketDigest, TicketState};
use gatepass_core::records::user::User;
use gatepass_core::store::Store as Contract;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{BearerQuery, IssueQuery, PersonQuery, Query, Records};
use gatepass_tests::fixtures;
use tempfile::TempDir;

/// The number of users in the test data.
pub(crate) const EVERYBODY: usize = 7;

/// A data directory of its own.
pub(crate) struct Fixture(TempDir);

impl Fixture {
    /// Makes an empty one.
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Makes one with the test data.
    pub(crate) fn new() -> Self {
        let fixture = Self::empty();
        insert_records(&fixture.store());
        fixture
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn installation(&self) -> Installation {
        Installation::at(self.dir())
    }

    pub(crate) fn store(&self) -> Store {
        self.store_with(&StoreOptions::default())
    }

    pub(crate) fn store_with(&self, options: &StoreOptions) -> Store {
        self.open(options).unwrap()
    }

    /// Opens it as a command does, and creates it if needed.
    pub(crate) fn open(&self, options: &StoreOptions) -> Result<Store, StoreError> {
        Store::open_or_create(&self.installation(), Access::Write, Create::InEmpty, options)
    }

    /// Opens it as a server does.
    pub(crate) fn serve(&self) -> Result<Store, StoreError> {
        Store::open(&self.installation(), Access::Serve, &StoreOptions::default())
    }

    /// Opens the file directly.
    pub(crate) fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir().join(DATABASE)).unwrap()
    }

    /// Sets the state epoch, as after older state was put back.
    pub(crate) fn set_state_epoch(&self, epoch: u64) {
        let epoch = i64::try_from(epoch).unwrap();
        assert_eq!(self.sql().execute("UPDATE meta SET state_epoch = ?1", [epoch]).unwrap(), 1);
    }

    /// Brings the file back to the schema `version`, 6 at most: undoes the latest migrations, then runs `undo` for those before.
    pub(crate) fn downgrade(&self, version: i64, undo: &str) {
        let to_six = include_str!("to_schema_6.sql");
        let all = format!("{to_six} {undo}; PRAGMA user_version = {version}");
        self.sql().execute_batch(&all).unwrap();
        // There was no witness then. On a simulated disk the test removes it.
        let _ = std::fs::remove_file(self.installation().witness());
    }
}

/// Inserts the users and clients of the test data.
pub(crate) fn insert_records(store: &(impl Contract + ?Sized)) {
    let tables = fixtures::tables();
    let users = tables.users.into_values().map(Change::InsertUser);
    let clients = tables.clients.into_values().map(Change::InsertClient);
    assert_eq!(commit(store, users.chain(clients)), Outcome::Applied);
}

pub(crate) fn commit(store: &(impl Contract + ?Sized), changes: impl IntoIterator<Item = Change>) -> Outcome {
    store.commit(&changes.into_iter().collect::<Vec<_>>().into())
}

pub(crate) fn alice() -> UserId {
    UserId::parse("usr_alice").unwrap()
}

pub(crate) fn portal() -> ClientId {
    ClientId::parse("portal").unwrap()
}

pub(crate) const NOW: Time = fixtures::NOON;

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

pub(crate) fn begin(number: u64) -> Change {
    begin_session(session(number), number)
}

pub(crate) fn begin_session(session: Session, refresh: u64) -> Change {
    let refresh = RefreshToken {
        digest: RefreshDigest(digest(refresh)),
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

/// Uses the refresh token `from`; its successor in session `session` is `to`.
pub(crate) fn rotate(from: u64, to: u64, session: u64) -> Change {
    let successor = RefreshToken {
        digest: RefreshDigest(digest(to)),
        session_id: self::session(session).id,
        issued_at: NOW,
        expires_at: NOW.plus(60),
        rotation: None,
        number: to,
        refreshes: 0,
        recorded_at: Some(NOW.plus(to)),
    };
    let rotation =
        Rotation { at: NOW.plus(from), salt: Salt(digest(from + to)), successor: successor.digest };
    Change::RotateRefresh {
        digest: RefreshDigest(digest(from)),
        rotation,
        successor,
        recorded: u32::from(to.is_multiple_of(2)),
    }
}

pub(crate) fn device(number: u64, user_id: UserId) -> TotpDevice {
    TotpDevice {
        id: DeviceId::parse(&format!("dev_{number}")).unwrap(),
        user_id,
        name: Some("电话".into()),
        parameters: OtpParameters { hash: OtpHash::Sha512, digits: 8 },
        secret: SecretBytes::new(digest(number).to_vec()),
        created_at: NOW,
        verified_at: None,
        verified_by: None,
        vouched_for: number % 2 == 1,
        last_step: 0,
    }
}

pub(crate) fn spend(number: u64) -> Change {
    Change::SpendTicket { digest: ticket(number).digest, at: NOW.plus(1), delivery: None }
}

/// Returns the session `session` as a delivery names it.
pub(crate) fn opened(session: u64) -> OpenedSession {
    OpenedSession { id: self::session(session).id, refresh: Some(RefreshDigest(digest(session))) }
}

/// Returns the record of a request with a key that led to `result`.
pub(crate) fn delivery<R>(number: u64, result: R) -> Option<Box<Delivery<R>>> {
    let (request, salt) = (RequestDigest(digest(number)), Salt(digest(number + 1)));
    Some(Box::new(Delivery { request, salt, result, repeated: 0 }))
}

/// A key that was made elsewhere, whose private part is a known text.
pub(crate) fn key(id: &str, state: KeyState) -> StoredKey {
    let (algorithm, beside, retire_from) = (Algorithm::Rs256, false, None);
    let record = KeyRecord { id: id.into(), algorithm, state, created_at: NOW, beside, retire_from };
    StoredKey { record, private_jwk: SecretBytes::new(format!("private bytes of {id}").into_bytes()) }
}

pub(crate) fn insert_key(id: &str, state: KeyState, generation: u64) -> Change {
    Change::InsertKey { key: Box::new(key(id, state)), generation, retire_from: NOW.plus(3660) }
}

pub(crate) fn activate_key(id: &str, generation: u64) -> Change {
    Change::ActivateKey { id: id.into(), generation, beside: false, retire_from: NOW.plus(3660) }
}

pub(crate) fn event(kind: Kind, number: u64) -> Event {
    Event { ticket: Some(ticket(number).id), subject: Some(alice()), ..Event::new(kind, NOW) }
}

/// Returns the changes of a redemption.
pub(crate) fn redemption(number: u64, session: u64) -> Vec<Change> {
    vec![
        Change::RequireStateEpoch(0),
        Change::RequireUserEpoch { id: alice(), epoch: 0 },
        spend(number),
        begin(session),
        Change::Audit(event(Kind::TicketRedeemed, number)),
    ]
}

pub(crate) fn state(store: &(impl Contract + ?Sized), number: u64) -> Option<TicketState> {
    let records = store.read(&Query::Ticket(ticket(number).digest)).records;
    let Records::Ticket(found) = records else { panic!("{records:?}") };
    found.map(|records| records.ticket.state)
}

/// Returns the user who is named so.
pub(crate) fn user_called(store: &(impl Contract + ?Sized), who: &UserRef) -> Option<User> {
    let query = IssueQuery { bearer: None, user: Some(who.clone()), actor: None, audience: None };
    let Records::Issue(found) = store.read(&Query::Issue(query)).records else { panic!() };
    found.user.one().cloned()
}

/// Returns the sessions of `user`, as a token of session `number` lists them.
pub(crate) fn sessions_of(store: &(impl Contract + ?Sized), user: UserId, number: u64) -> Vec<Session> {
    let person = Some(PersonQuery { user, session: session(number).id, actor: None });
    let query = BearerQuery { client: portal(), token_id: "t".into(), person };
    let Records::Sessions(found) = store.read(&Query::Sessions(query)).records else { panic!() };
    found.sessions
}

pub(crate) fn audit(store: &(impl Backend + ?Sized)) -> Vec<AuditRow> {
    let mut rows = Vec::new();
    let all = store.audit(&AuditFilter::default(), |row| {
        rows.push(row);
        Ok::<_, StoreError>(())
    });
    all.unwrap();
    rows
}

/// Runs `work` on `count` threads at once, and returns their results.
pub(crate) fn at_once<T: Send + 'static>(
    count: u64,
    work: impl Fn(u64) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let work = Arc::new(work);
    let gate = Arc::new(std::sync::Barrier::new(usize::try_from(count).unwrap()));
    let threads: Vec<_> = (0..count)
        .map(|i| {
            let (work, gate) = (Arc::clone(&work), Arc::clone(&gate));
            std::thread::spawn(move || {
                gate.wait();
                work(i)
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}
