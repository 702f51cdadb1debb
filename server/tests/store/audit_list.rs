//! Rows of the audit table that are asked for: the database finds those that the filter takes.

use gatepass::store::{AuditFilter, AuditRow, Backend, RefusalFilter, StoreError};
use gatepass_core::records::id::{ClientId, UserId};
use gatepass_core::records::request_id::RequestId;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_core::store::change::{Change, Outcome};

use crate::engines::{Database, on_every_database};
use crate::fixture::*;

on_every_database!(a_filter_finds_what_it_takes_however_many_pages_that_takes, an_empty_table_has_nothing);

fn user(n: u64) -> UserId {
    UserId::parse(&format!("usr_{n}")).unwrap()
}

fn client(n: u64) -> ClientId {
    ClientId::parse(&format!("client_{n}")).unwrap()
}

fn request(n: u64) -> RequestId {
    RequestId::parse(&format!("req_{n}")).unwrap()
}

/// Returns an event in which everything depends on its number, in another rhythm each.
fn mixed(n: u64) -> Event {
    let on = |every: u64| n.is_multiple_of(every);
    let kind = [Kind::TicketIssued, Kind::TicketRedeemed, Kind::TicketRefused, Kind::UserChanged]
        [usize::try_from(n % 4).unwrap()];
    Event {
        subject: (!on(5)).then(|| user(n % 7)),
        actor: on(6).then(|| user(n % 11)),
        client: (!on(3)).then(|| client(n % 5)),
        issuer: on(4).then(|| client(n % 6)),
        issuer_user: on(9).then(|| user(n % 8)),
        refusal: on(8).then_some(if on(16) { Refusal::TicketSpent } else { Refusal::TicketExpired }),
        request: on(2).then(|| request(n % 13)),
        sent_request: on(10).then(|| request(n % 17)),
        ..Event::new(kind, NOW.plus(n / 3))
    }
}

fn listed(store: &dyn Backend, filter: &AuditFilter) -> Vec<AuditRow> {
    let mut rows = Vec::new();
    let each = |row| {
        rows.push(row);
        Ok::<_, StoreError>(())
    };
    store.audit(filter, each).unwrap();
    rows
}

fn a_filter_finds_what_it_takes_however_many_pages_that_takes<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    for from in [0, 1_500] {
        let rows = (from..from + 1_500).map(mixed).map(Change::Audit);
        assert_eq!(commit(&*store, rows), Outcome::Applied);
    }
    // Other numbers than those that are kept.
    let old = ArchiveRequest::new(Some(NOW.plus(10)), NOW.plus(9_000));
    store.archive_audit(Some(&fixture.dir().join("a")), &old, &mut |_, _| ()).unwrap();
    assert_eq!(store.cut_audit(NOW.plus(10), 0, NOW.plus(9_000)).unwrap().rows, 30);
    let none = AuditFilter::default;
    let filters = [
        none(),
        AuditFilter { user: Some(user(3)), ..none() },
        AuditFilter { user: Some(user(99)), ..none() },
        AuditFilter { client: Some(client(4)), ..none() },
        AuditFilter { kinds: vec![Kind::TicketRefused], ..none() },
        AuditFilter { kinds: vec![Kind::UserChanged, Kind::TicketIssued], ..none() },
        AuditFilter { refusal: Some(RefusalFilter::Any), ..none() },
        AuditFilter { refusal: Some(RefusalFilter::For(Refusal::TicketSpent)), ..none() },
        AuditFilter { request: Some(request(4)), ..none() },
        AuditFilter { since: Some(NOW.plus(700)), ..none() },
        AuditFilter { until: Some(NOW.plus(300)), ..none() },
        AuditFilter { since: Some(NOW.plus(300)), until: Some(NOW.plus(310)), ..none() },
        AuditFilter { since: Some(NOW.plus(310)), until: Some(NOW.plus(300)), ..none() },
        AuditFilter { since: Some(NOW.plus(1_000_000)), ..none() },
        AuditFilter {
            user: Some(user(2)),
            kinds: vec![Kind::TicketIssued],
            since: Some(NOW.plus(100)),
            until: Some(NOW.plus(900)),
            ..none()
        },
    ];
    let all = listed(&*store, &none());
    assert_eq!(all.len(), 2_972);
    for filter in filters {
        let expected: Vec<_> = all.iter().filter(|row| filter.takes(&row.event)).cloned().collect();
        assert_eq!(listed(&*store, &filter), expected, "{filter:?}");
        for limit in [0, 1, 7, 500, 501, 1_200, 5_000] {
            let latest = &expected[expected.len().saturating_sub(limit)..];
            assert_eq!(store.latest_audit(&filter, limit).unwrap(), latest, "{limit} of {filter:?}");
        }
    }
}

fn an_empty_table_has_nothing<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    assert_eq!(listed(&*store, &AuditFilter::default()), []);
    assert_eq!(store.latest_audit(&AuditFilter::default(), 9).unwrap(), []);
}
