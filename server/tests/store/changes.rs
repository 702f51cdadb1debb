//! The condition of every change, the sweep, and the mark: applied if it holds, and nothing written otherwise.

use std::sync::Arc;

use gatepass::store::{Backend, KEEP_EXPIRED};
use gatepass_core::base::time::Time;
use gatepass_core::records::client::{ClientSecret, SecretDigest};
use gatepass_core::records::id::{ClientId, SecretId, SessionId, UserId, UserRef};
use gatepass_core::records::session::{RefreshDigest, Session};
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::records::user::{User, Username};
use gatepass_core::store::Store;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{MAX_SESSIONS, Query, Records};

use crate::engines::{Engine, on_every_engine};
use crate::fixture::*;

fn user(store: &(impl Store + ?Sized), name: &str) -> User {
    user_called(store, &UserRef::Username(name.into())).unwrap()
}

on_every_engine!(
    each_change_holds_or_leaves_nothing,
    a_state_epoch_that_is_set_is_found_and_required,
    a_ticket_is_found_whenever_it_was_issued,
    lists_are_whole,
);

fn each_change_holds_or_leaves_nothing<E: Engine>() {
    let fixture = E::with_records();
    let store = fixture.open();
    let before = [
        Change::InsertTicket(ticket(1)),
        Change::InsertTicket(Ticket { state: TicketState::Spent { at: NOW, delivery: None }, ..ticket(2) }),
        Change::InsertTicket(Ticket { state: TicketState::Revoked(NOW), ..ticket(3) }),
        begin(1),
        begin_session(Session { ended_at: Some(NOW), ..session(2) }, 2),
        begin(3),
        rotate(3, 4, 3),
        insert_key("a", KeyState::Signing, 1),
    ];
    assert_eq!(commit(&store, before), Outcome::Applied);
    let alice_now = user(&*store, "alice");
    let stale = User { revision: 7, ..alice_now.clone() };
    let named = |name: &str, id: &str| User {
        id: UserId::parse(id).unwrap(),
        username: Username::parse(name).unwrap(),
        email: None,
        phone: None,
        ..alice_now.clone()
    };
    let portal_now = store.client(&portal()).unwrap().unwrap();
    let mut stale_client = portal_now.clone();
    stale_client.revision = 1;
    let nobody = UserId::parse("usr_nobody").unwrap();
    let no_client = ClientId::parse("none").unwrap();
    let conflicts = vec![
        Change::RequireStateEpoch(1),
        Change::RequireUserEpoch { id: alice(), epoch: 1 },
        Change::RequireUserEpoch { id: UserId::parse("usr_gone").unwrap(), epoch: 0 },
        Change::RequireUserEpoch { id: nobody.clone(), epoch: 0 },
        Change::RequireClientEpoch { id: ClientId::parse("closed").unwrap(), epoch: 0 },
        Change::RequireClientEpoch { id: portal(), epoch: 1 },
        Change::RequireClientEpoch { id: no_client.clone(), epoch: 0 },
        Change::RequireAnotherOfficer { besides: nobody.clone() },
        Change::RequireLiveSession(SessionId::parse("ses_2").unwrap()),
        Change::RequireLiveSession(SessionId::parse("ses_9").unwrap()),
        Change::InsertTicket(ticket(1)),
        Change::InsertTicket(Ticket { id: ticket(1).id, ..ticket(9) }),
        Change::InsertTicket(Ticket { digest: ticket(1).digest, ..ticket(9) }),
        spend(2),
        spend(3),
        spend(9),
        Change::RevokeTicket { id: ticket(2).id, at: NOW },
        Change::RevokeTicket { id: ticket(3).id, at: NOW },
        Change::RevokeTicket { id: ticket(9).id, at: NOW },
        begin(1),
        begin_session(session(9), 1),
        rotate(3, 5, 3),
        rotate(8, 5, 3),
        rotate(4, 1, 3),
        rotate(4, 5, 8),
        Change::RequireUnusedRefresh(RefreshDigest(digest(3))),
        Change::RequireUnusedRefresh(RefreshDigest(digest(8))),
        Change::EndSession { id: session(2).id, at: NOW },
        Change::EndSession { id: session(8).id, at: NOW },
        Change::RaiseEpoch { id: alice(), epoch: 1 },
        Change::RaiseEpoch { id: nobody.clone(), epoch: 0 },
        Change::InsertUser(named("alice", "usr_9")),
        Change::InsertUser(named("another", "usr_alice")),
        Change::UpdateUser(stale),
        Change::UpdateUser(named("boss", "usr_alice")),
        Change::UpdateUser(named("x", "usr_nobody")),
        Change::DeleteUser(nobody),
        Change::InsertClient(portal_now),
        Change::UpdateClient(stale_client),
        Change::DeleteClient(no_client),
        insert_key("a", KeyState::Published, 2),
        insert_key("b", KeyState::Published, 1),
        activate_key("b", 2),
        activate_key("a", 3),
        Change::RetireKey { id: "b".into(), generation: 2 },
        Change::RetireKey { id: "a".into(), generation: 2 },
    ];
    let before = fixture.dump();
    for change in conflicts {
        let shown = format!("{change:?}");
        // Last, after one change of every kind, all of which must be undone.
        let changes = [
            Change::InsertTicket(ticket(50)),
            begin(50),
            Change::InsertUser(named("fifty", "usr_50")),
            Change::DeleteClient(ClientId::parse("backend").unwrap()),
            Change::DeleteUser(UserId::parse("usr_boss").unwrap()),
            Change::Audit(event(Kind::TicketIssued, 50)),
            change,
        ];
        // The boss has to stay for a change of the name.
        let changes = changes.into_iter().filter(|c| {
            !(shown.contains("UpdateUser")
                && matches!(c, Change::DeleteUser(id) if id.as_str() == "usr_boss"))
        });
        assert_eq!(commit(&store, changes), Outcome::Conflict, "{shown}");
        assert!(fixture.dump() == before, "{shown}");
    }
    let applied = [
        Change::InsertTicket(ticket(50)),
        begin(50),
        Change::InsertUser(named("fifty", "usr_50")),
        Change::DeleteClient(ClientId::parse("backend").unwrap()),
        Change::DeleteUser(UserId::parse("usr_boss").unwrap()),
        Change::Audit(event(Kind::TicketIssued, 50)),
        Change::RequireStateEpoch(0),
        Change::RequireUserEpoch { id: alice(), epoch: 0 },
        Change::RequireClientEpoch { id: portal(), epoch: 0 },
        Change::RequireLiveSession(SessionId::parse("ses_1").unwrap()),
        Change::RequireUnusedRefresh(RefreshDigest(digest(4))),
        rotate(4, 5, 3),
        Change::EndSession { id: session(3).id, at: NOW },
        Change::RaiseEpoch { id: alice(), epoch: 0 },
        Change::RevokeToken { token_id: "j".into(), expires_at: NOW },
        Change::RevokeToken { token_id: "j".into(), expires_at: NOW },
        spend(1),
        Change::Probe,
    ];
    assert_eq!(commit(&store, applied), Outcome::Applied);
    assert_eq!(state(&store, 1), Some(TicketState::Spent { at: NOW.plus(1), delivery: None }));
    assert_eq!(state(&store, 3), Some(TicketState::Revoked(NOW)));
}

fn a_state_epoch_that_is_set_is_found_and_required<E: Engine>() {
    let fixture = E::with_records();
    let (store, other) = (fixture.open(), fixture.open());
    let found = |store: &Arc<dyn Backend>| store.read(&Query::Generation);
    assert_eq!((found(&store).generation, found(&store).state_epoch), (1, 0));
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1))]), Outcome::Applied);
    let epoch = u64::MAX >> 1;
    fixture.set_state_epoch(epoch);
    for store in [&store, &other] {
        assert_eq!((found(store).generation, found(store).state_epoch), (1, epoch));
        assert_eq!(commit(store, redemption(1, 1)), Outcome::Conflict);
        assert_eq!(commit(store, [Change::RequireStateEpoch(epoch)]), Outcome::Applied);
    }
    // What was issued before keeps its epoch.
    let new = Ticket { state_epoch: epoch, ..ticket(2) };
    assert_eq!(commit(&store, [Change::InsertTicket(new.clone())]), Outcome::Applied);
    let mut tickets = store.tickets().unwrap();
    tickets.sort_by(|a, b| b.id.cmp(&a.id));
    assert_eq!(tickets, [new, ticket(1)]);
}

#[test]
fn an_update_raises_the_revision_and_a_deletion_takes_along() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let mut alice_now = user(&store, "alice");
    alice_now.name = None;
    alice_now.end_sessions();
    assert_eq!(commit(&store, [Change::UpdateUser(alice_now.clone())]), Outcome::Applied);
    assert_eq!(commit(&store, [Change::UpdateUser(alice_now.clone())]), Outcome::Conflict);
    alice_now.revision += 1;
    assert_eq!(user(&store, "alice"), alice_now);

    let mut portal_now = store.client(&portal()).unwrap().unwrap();
    let mut secret = |text, expires_at| {
        let (id, digest) = (SecretId::parse(text).unwrap(), SecretDigest::of(text));
        portal_now
            .secrets
            .insert(0, ClientSecret { id, digest, created_at: NOW, expires_at, last_used_at: expires_at });
    };
    secret("a", None);
    secret("b", Some(NOW));
    assert_eq!(commit(&store, [Change::UpdateClient(portal_now.clone())]), Outcome::Applied);
    portal_now.revision += 1;
    assert_eq!(store.client(&portal()).unwrap(), Some(portal_now.clone()));
    assert!(store.clients().unwrap().contains(&portal_now));
    portal_now.secrets.truncate(1);
    assert_eq!(commit(&store, [Change::UpdateClient(portal_now)]), Outcome::Applied);

    assert_eq!(commit(&store, [Change::InsertTicket(ticket(1)), begin(1)]), Outcome::Applied);
    let delete = [Change::DeleteUser(alice()), Change::DeleteClient(portal())];
    assert_eq!(commit(&store, delete), Outcome::Applied);
    while store.sweep(NOW, 100).unwrap().more {}
    let left: i64 = fixture
        .sql()
        .query_row(
            "SELECT (SELECT count(*) FROM sessions) + \
             (SELECT count(*) FROM refresh_tokens) + (SELECT count(*) FROM client_secrets WHERE client_id = 'portal')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
    // A ticket stays until the sweep, but its user is gone.
    let Records::Ticket(Some(found)) = store.read(&Query::Ticket(ticket(1).digest)).records else { panic!() };
    assert_eq!((found.user, found.ticket), (None, ticket(1)));
}

fn a_ticket_is_found_whenever_it_was_issued<E: Engine>() {
    let fixture = E::with_records();
    let store = fixture.open();
    let issued = |i: u64| Ticket { issued_at: Time::from_unix(NOW.unix() + i * 100), ..ticket(i) };
    let order = [3, 9, 0, 7, 1, 8, 2, 6, 4, 5];
    assert_eq!(commit(&store, order.map(|i| Change::InsertTicket(issued(i)))), Outcome::Applied);
    for i in order {
        let Records::Ticket(Some(found)) = store.read(&Query::Ticket(ticket(i).digest)).records else {
            panic!()
        };
        assert_eq!(found.ticket, issued(i));
        assert_eq!(commit(&store, [spend(i)]), Outcome::Applied);
        assert_eq!(commit(&store, [spend(i)]), Outcome::Conflict);
    }
    assert!(matches!(store.read(&Query::Ticket(ticket(10).digest)).records, Records::Ticket(None)));
    assert_eq!(commit(&store, [spend(10)]), Outcome::Conflict);
}

#[test]
fn sessions_of_one_are_found_and_deleted_however_many_there_are_of_others() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let boss = UserId::parse("usr_boss").unwrap();
    let at = |number: u64| Session { auth_time: NOW.plus(number), ..session(number) };
    let theirs = |number| Session { user_id: boss.clone(), ..at(number) };
    let among = |numbers: std::ops::RangeInclusive<u64>, hers: &[u64]| {
        numbers
            .map(|n| begin_session(if hers.contains(&n) { at(n) } else { theirs(n) }, n))
            .collect::<Vec<_>>()
    };
    let hers = [1, 1023, 1024, 2047, 2048, 4500];
    assert_eq!(commit(&store, among(1..=5000, &hers)), Outcome::Applied);
    assert_eq!(sessions_of(&store, alice(), 4500), [4500, 2048, 2047, 1024, 1023, 1].map(at));
    fixture.sql().execute("DELETE FROM sessions WHERE seq BETWEEN 1024 AND 4499", []).unwrap();
    assert_eq!(sessions_of(&store, alice(), 4500), [4500, 1023, 1].map(at));
    // A number that we never write, as in a damaged file.
    let below = "CREATE TEMP TABLE below AS SELECT * FROM sessions WHERE seq = 1; \
                 UPDATE below SET seq = -5000, id = 'ses_below'; INSERT INTO sessions SELECT * FROM below";
    fixture.sql().execute_batch(below).unwrap();
    assert_eq!(sessions_of(&store, alice(), 4500).len(), 4);
    assert_eq!(sessions_of(&store, boss.clone(), 2).len(), MAX_SESSIONS);
    for (number, why) in [(9999, "a session that is not there"), (2, "somebody else's")] {
        assert_eq!(sessions_of(&store, alice(), number), [], "{why}");
    }
    assert_eq!(commit(&store, [Change::EndSession { id: at(1023).id, at: NOW }]), Outcome::Applied);
    assert_eq!(sessions_of(&store, alice(), 1023), [], "one that has been ended");
    assert_eq!(commit(&store, [Change::DeleteUser(alice())]), Outcome::Applied);
    while store.sweep(NOW, 1).unwrap().more {}
    assert_eq!(sessions_of(&store, alice(), 4500), []);
    let left = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        fixture.sql().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((left("sessions"), left("refresh_tokens")), (1021 + 500, 1021 + 500));
    assert_eq!(commit(&store, [begin_session(at(6000), 6000)]), Outcome::Conflict, "of nobody");
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn the_newest_ticket_is_listed_first() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let order = [3, 0, 4, 1, 2];
    assert_eq!(commit(&store, order.map(|i| Change::InsertTicket(ticket(i)))), Outcome::Applied);
    assert_eq!(store.tickets().unwrap(), [2, 1, 4, 0, 3].map(ticket));
}

fn lists_are_whole<E: Engine>() {
    let fixture = E::with_records();
    let store = fixture.open();
    assert_eq!(commit(&store, (0..5).map(|i| Change::InsertTicket(ticket(i)))), Outcome::Applied);
    let mut tickets = store.tickets().unwrap();
    tickets.sort_by(|a, b| b.id.cmp(&a.id));
    assert_eq!(tickets, [4, 3, 2, 1, 0].map(ticket));
    let by_id = |number| match store.read(&Query::TicketById(ticket(number).id)).records {
        Records::TicketById(found) => found.map(|ticket| *ticket),
        other => panic!("{other:?}"),
    };
    assert_eq!((by_id(3), by_id(9)), (Some(ticket(3)), None));
    assert_eq!(store.users().unwrap().len(), EVERYBODY);
    assert_eq!(store.clients().unwrap().len(), 3);
    let by_id = user_called(&store, &UserRef::Any("usr_alice".into()));
    assert_eq!(by_id, user_called(&store, &UserRef::Any("alice".into())));
    assert_eq!(user_called(&store, &UserRef::Username("usr_alice".into())), None);
    fixture.check();
}

#[test]
fn the_sweep_takes_what_expired_long_ago_and_nothing_else() {
    let fixture = Fixture::new();
    let store = fixture.store();
    for i in 0..10 {
        let expires_at = NOW.plus(i);
        let spent = Ticket { expires_at, state: TicketState::Spent { at: NOW, delivery: None }, ..ticket(i) };
        let session = Session { expires_at, ..session(i) };
        let changes = [Change::InsertTicket(spent), begin_session(session, i)];
        assert_eq!(commit(&store, changes), Outcome::Applied);
    }
    let none = store.sweep(NOW.plus(KEEP_EXPIRED), 100).unwrap();
    assert_eq!((none.tickets, none.sessions, none.more), (0, 0, false));
    let some = store.sweep(NOW.plus(KEEP_EXPIRED + 5), 3).unwrap();
    assert_eq!((some.tickets, some.sessions, some.more), (3, 3, true));
    let rest = store.sweep(NOW.plus(KEEP_EXPIRED + 5), 3).unwrap();
    assert_eq!((rest.tickets, rest.sessions, rest.more), (2, 2, false));
    assert_eq!(state(&store, 4), None);
    assert_eq!(state(&store, 5), Some(TicketState::Spent { at: NOW, delivery: None }));
    assert_eq!(commit(&store, redemption(4, 100)), Outcome::Conflict);
    assert_eq!(store.sweep(Time::from_unix(0), 100).unwrap().tickets, 0);
    let plan: String = fixture
        .sql()
        .query_row(
            "EXPLAIN QUERY PLAN SELECT seq FROM tickets WHERE expires_at < 1 ORDER BY expires_at LIMIT 5",
            [],
            |r| r.get(3),
        )
        .unwrap();
    assert!(plan.contains("tickets_by_expiry"), "{plan}");
}
