//! Any direct change to the audit table is detected.

use std::thread;

use gatepass::store::{Access, AuditFilter, BrokenLink, Store, StoreError, StoreOptions};
use gatepass_core::records::id::TicketId;
use gatepass_core::records::request_id::RequestId;
use gatepass_core::records::risk::Assessment;
use gatepass_core::records::role::Roles;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::{Change, Outcome};

use crate::engines::{Database, on_every_database};
use crate::fixture::*;

on_every_database!(
    an_empty_chain_holds,
    every_field_of_an_event_comes_back,
    what_is_rolled_back_leaves_no_gap_for_those_who_share_its_transaction,
);

#[test]
fn tampering_shows() {
    let cases: &[(&str, BrokenLink)] = &[
        ("UPDATE audit SET reason = 'x' WHERE seq = 3", BrokenLink::Altered(3)),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1", BrokenLink::Altered(1)),
        ("UPDATE audit SET mac = zeroblob(32) WHERE seq = 5", BrokenLink::Altered(5)),
        ("UPDATE audit SET mac = zeroblob(31) WHERE seq = 5", BrokenLink::Altered(5)),
        ("UPDATE audit SET seq = -3 WHERE seq = 3", BrokenLink::Altered(1)),
        ("UPDATE audit SET risk = '0 low' WHERE seq = 2", BrokenLink::Altered(2)),
        ("UPDATE audit SET risk = NULL WHERE seq = 4", BrokenLink::Altered(4)),
        ("UPDATE audit SET issuer = 'portal' WHERE seq = 2", BrokenLink::Altered(2)),
        ("UPDATE audit SET operator = 'root(0)' WHERE seq = 2", BrokenLink::Altered(2)),
        ("UPDATE audit SET request = NULL WHERE seq = 5", BrokenLink::Altered(5)),
        ("UPDATE audit SET sent_request = request, request = NULL WHERE seq = 5", BrokenLink::Altered(5)),
        ("UPDATE audit SET issuer = risk, risk = NULL WHERE seq = 4", BrokenLink::Altered(4)),
        // The same text in another column makes another row.
        ("UPDATE audit SET actor = subject, subject = NULL WHERE seq = 2", BrokenLink::Altered(2)),
        ("DELETE FROM audit WHERE seq = 1", BrokenLink::Missing(1)),
        ("DELETE FROM audit WHERE seq = 3", BrokenLink::Missing(3)),
        (
            "DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = seq - 1 WHERE seq > 2",
            BrokenLink::Altered(2),
        ),
        ("DELETE FROM audit WHERE seq >= 4", BrokenLink::Cut(4)),
        ("DELETE FROM audit", BrokenLink::Cut(1)),
        (
            "UPDATE audit SET seq = -1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; \
             UPDATE audit SET seq = 3 WHERE seq = -1",
            BrokenLink::Altered(2),
        ),
        // The last rows are cut off and the record of the last row is adjusted, without the key.
        (
            "DELETE FROM audit WHERE seq = 5; UPDATE meta SET audit_seq = 4, audit_mac = (SELECT mac FROM audit WHERE seq = 4)",
            BrokenLink::Head,
        ),
        ("UPDATE meta SET audit_seal = zeroblob(32)", BrokenLink::Head),
        ("UPDATE meta SET audit_mac = zeroblob(32)", BrokenLink::Head),
        (
            "INSERT INTO audit SELECT 6, at, kind, subject, actor, client, ticket, session, key, address, refusal, reason, count, mac, risk, issuer, issuer_user, request, sent_request, operator, stated_by, peer, by_user, by_client, roles FROM audit WHERE seq = 5",
            BrokenLink::Altered(6),
        ),
    ];
    for (sql, broken) in cases {
        let fixture = Fixture::new();
        let store = fixture.store();
        for i in 1..=5 {
            let risk = (i == 4).then(|| Assessment::parse("40 medium new_device=40").unwrap());
            let request = (i == 5).then(|| RequestId::parse("req_5").unwrap());
            let event = Event { risk, request, ..event(Kind::TicketIssued, i) };
            assert_eq!(commit(&store, [Change::Audit(event)]), Outcome::Applied);
        }
        assert!(store.verify_audit().unwrap().holds());
        fixture.sql().execute_batch(sql).unwrap();
        assert_eq!(store.verify_audit().unwrap().broken, Some(*broken), "{sql}");
        assert!(!store.check().unwrap().is_sound(), "{sql}");
    }
}

fn an_empty_chain_holds<D: Database>() {
    let verdict = D::empty().open().verify_audit().unwrap();
    assert_eq!((verdict.rows, verdict.broken), (0, None));
}

fn every_field_of_an_event_comes_back<D: Database>() {
    use gatepass_core::records::id::{SessionId, TicketId, UserId};
    use gatepass_core::store::audit::Refusal;
    let fixture = D::with_records();
    let store = fixture.open();
    let full = Event {
        subject: Some(alice()),
        actor: Some(UserId::parse("usr_boss").unwrap()),
        client: Some(portal()),
        ticket: Some(TicketId::parse("tid_1").unwrap()),
        session: Some(SessionId::parse("ses_1").unwrap()),
        key: Some("kid".into()),
        address: Some("2001:db8::1".parse().unwrap()),
        refusal: Some(Refusal::TicketSpent),
        reason: Some("因为\0\n'\"".into()),
        risk: Assessment::parse("55 medium new_device=40 new_network=15"),
        count: u32::MAX,
        issuer: Some(portal()),
        issuer_user: Some(alice()),
        request: RequestId::parse("req_1").ok(),
        sent_request: RequestId::parse("a.b_c-1").ok(),
        operator: Some("root(0) by sudo from José(1000)".into()),
        stated_by: Some(portal()),
        peer: Some("192.0.2.1".parse().unwrap()),
        by_user: Some(alice()),
        by_client: Some(portal()),
        roles: Some(Roles::ALL),
        ..Event::new(Kind::Refusals, NOW)
    };
    let kinds = Kind::ALL.iter().map(|kind| Event::new(*kind, NOW));
    let roles =
        (0..8).map(|bits| Event { roles: Roles::from_bits(bits), ..Event::new(Kind::UserChanged, NOW) });
    let refusals =
        Refusal::ALL.iter().map(|r| Event { refusal: Some(*r), ..Event::new(Kind::TicketRefused, NOW) });
    let events: Vec<Event> = std::iter::once(full).chain(kinds).chain(refusals).chain(roles).collect();
    assert_eq!(commit(&*store, events.iter().cloned().map(Change::Audit)), Outcome::Applied);
    assert!(audit(&*store).into_iter().map(|row| row.event).eq(events));
    let mut later = 0;
    let all = store.audit(&AuditFilter { since: Some(NOW.plus(1)), ..AuditFilter::default() }, |_| {
        later += 1;
        Ok::<_, StoreError>(())
    });
    all.unwrap();
    assert_eq!(later, 0);
    assert!(store.verify_audit().unwrap().holds());
}

#[test]
fn every_row_of_a_command_names_who_ran_it() {
    let fixture = Fixture::new();
    let installation = fixture.installation().operated_by("root(0)".into());
    let store = Store::open(&installation, Access::Write, &StoreOptions::default()).unwrap();
    let other = Event { operator: Some("alice(1000)".into()), ..event(Kind::UserChanged, 2) };
    let told = [event(Kind::UserAdded, 1), other].map(Change::Audit);
    assert_eq!(commit(&store, told), Outcome::Applied);
    store.set_clock_mark(NOW, Some(Event::new(Kind::ClockReset, NOW))).unwrap();
    let request = ArchiveRequest::new(None, NOW);
    store.archive_audit(Some(&fixture.dir().join("a")), &request, &mut |_, _| ()).unwrap();
    let told: Vec<_> = audit(&store).into_iter().filter_map(|row| row.event.operator).collect();
    assert_eq!(told, ["root(0)", "alice(1000)", "root(0)", "root(0)"]);
    assert!(store.verify_audit().unwrap().holds());
    drop(store);
    let server = fixture.serve().unwrap();
    assert_eq!(commit(&server, [Change::Audit(event(Kind::UserAdded, 3))]), Outcome::Applied);
    assert_eq!(audit(&server).last().unwrap().event.operator, None);
}

fn what_is_rolled_back_leaves_no_gap_for_those_who_share_its_transaction<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    let nothing = Change::RevokeTicket { id: TicketId::parse("tid_none").unwrap(), at: NOW };
    thread::scope(|scope| {
        for number in 0..64 {
            let (store, nothing) = (&store, nothing.clone());
            scope.spawn(move || {
                let row = Change::Audit(Event::new(Kind::TicketRevoked, NOW));
                for _ in 0..20 {
                    // Every other commit adds its row and then fails.
                    let (changes, outcome) = match number % 2 {
                        0 => (vec![row.clone()], Outcome::Applied),
                        _ => (vec![row.clone(), nothing.clone()], Outcome::Conflict),
                    };
                    assert_eq!(commit(&**store, changes), outcome);
                }
            });
        }
    });
    let verdict = store.verify_audit().unwrap();
    assert!(verdict.holds() && verdict.rows >= 640, "{verdict:?}");
}
