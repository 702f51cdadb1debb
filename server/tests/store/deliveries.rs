//! Repeated answers: conditions and conflicts, the records that a query returns, and how repetitions are recorded in the
//! end.

use gatepass::store::KEEP_EXPIRED;
use gatepass_core::records::delivery::{Delivered, TicketResult};
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Query, Records};

use crate::engines::{Database, on_every_database};
use crate::fixture::*;

on_every_database!(repetitions_are_counted_and_the_sweep_tells_their_number_once);

fn repeat(number: u64, first: bool) -> [Change; 1] {
    [Change::RepeatTicket { digest: ticket(number).digest, first }]
}

fn repetitions_are_counted_and_the_sweep_tells_their_number_once<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    for number in 0..3 {
        assert_eq!(commit(&*store, [Change::InsertTicket(ticket(number))]), Outcome::Applied);
        assert_eq!(commit(&*store, repeat(number, true)), Outcome::Conflict, "it was not redeemed");
        let delivery = delivery(number, TicketResult::Session(opened(number)));
        let delivery = delivery.filter(|_| number < 2);
        let spend = Change::SpendTicket { digest: ticket(number).digest, at: NOW, delivery };
        assert_eq!(commit(&*store, [spend, begin(number)]), Outcome::Applied);
    }
    assert_eq!(commit(&*store, repeat(0, false)), Outcome::Conflict, "it was not repeated before");
    assert_eq!(commit(&*store, repeat(0, true)), Outcome::Applied);
    assert_eq!(commit(&*store, repeat(0, true)), Outcome::Conflict, "it was repeated before");
    for _ in 0..4 {
        assert_eq!(commit(&*store, repeat(0, false)), Outcome::Applied);
    }
    assert_eq!(commit(&*store, repeat(1, true)), Outcome::Applied);
    assert_eq!(commit(&*store, repeat(2, true)), Outcome::Conflict, "it was redeemed without a key");

    let found = |number| {
        let Records::Ticket(found) = store.read(&Query::Ticket(ticket(number).digest)).records else {
            panic!()
        };
        found.unwrap().delivered
    };
    let Some(Delivered::Session(delivered)) = found(0) else { panic!("its session is there") };
    assert_eq!(delivered.session, session(0));
    assert_eq!(delivered.refresh.map(|refresh| refresh.digest), opened(0).refresh);
    assert_eq!(found(2), None, "without a key nothing is looked for");

    let end = ticket(0).expires_at.plus(KEEP_EXPIRED + 1);
    assert_eq!(store.sweep(end, 100).unwrap().tickets, 3);
    let rows: Vec<_> = audit(&*store).into_iter().map(|row| row.event).collect();
    let told: Vec<_> = rows.iter().filter(|row| row.kind == Kind::TicketRepeated).collect();
    assert_eq!(told.len(), 1, "the first repetition is told when it happens: {told:?}");
    assert_eq!((told[0].count, told[0].ticket.clone()), (4, Some(ticket(0).id)));
    assert_eq!((told[0].session.clone(), told[0].at), (Some(session(0).id), end));
    fixture.check();
}
