//! Each process appends to a chain of its own, and any change to one of them is found.

use gatepass::store::prelude::*;
use gatepass::store::{Access, AuditVerdict, BrokenLink};
use gatepass_core::records::id::TicketId;
use gatepass_core::store::change::{Change, Outcome};

use crate::cluster::Fixture;
use crate::events::{commit, event, listed, write};
use crate::fixture::NOW;

/// Two servers and a command, which have written three, four and two rows.
fn written() -> Fixture {
    let fixture = Fixture::empty();
    let (one, other, command) = (fixture.store(), fixture.store(), fixture.command());
    write(&one, 3);
    write(&other, 4);
    write(&command, 2);
    fixture
}

#[test]
fn the_rows_of_all_processes_are_one_list_and_every_chain_holds() {
    let fixture = written();
    assert_eq!(fixture.sql("SELECT slot, seq FROM audit_slots ORDER BY slot"), "0|2\n1|3\n2|4\n");
    let store = fixture.command();
    let rows = listed(&store);
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    assert_eq!(store.verify_audit().unwrap(), AuditVerdict { rows: 9, broken: None, slot: None });
    let (last, head) = store.audit_head().unwrap();
    assert_eq!((last, head.len()), (9, 64));
    write(&store, 1);
    assert_ne!(store.audit_head().unwrap().1, head);
}

#[test]
fn a_slot_is_taken_over_once_its_process_has_ended() {
    let fixture = written();
    write(&fixture.store(), 1);
    assert_eq!(fixture.sql("SELECT count(*) FROM audit_slots"), "3\n");
    assert!(fixture.command().verify_audit().unwrap().holds());
}

#[test]
fn a_process_that_lost_its_slot_takes_another_and_writes() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    write(&store, 2);
    fixture.sql("UPDATE audit_slots SET fence = fence + 1 WHERE slot = 1");
    write(&store, 2);
    assert_eq!(fixture.sql("SELECT slot, seq FROM audit_slots ORDER BY slot"), "0|0\n1|2\n2|2\n");
    assert_eq!(store.verify_audit().unwrap(), AuditVerdict { rows: 4, broken: None, slot: None });
}

#[test]
fn tampering_shows() {
    const SWAP_SLOTS: &str = "ALTER TABLE audit DROP CONSTRAINT audit_slot_fkey; \
        UPDATE audit SET slot = -1 WHERE slot = 1; UPDATE audit SET slot = 1 WHERE slot = 2; UPDATE audit SET slot = 2 WHERE slot = -1; \
        UPDATE audit_slots SET slot = -1 WHERE slot = 1; UPDATE audit_slots SET slot = 1 WHERE slot = 2; \
        UPDATE audit_slots SET slot = 2 WHERE slot = -1;";
    let cases: &[(&str, BrokenLink)] = &[
        ("UPDATE audit SET reason = 'x' WHERE slot = 1 AND seq = 2", BrokenLink::Altered(2)),
        (
            "UPDATE audit SET mac = decode(repeat('00', 32), 'hex') WHERE slot = 0 AND seq = 2",
            BrokenLink::Altered(2),
        ),
        ("UPDATE audit SET seq = -3 WHERE slot = 2 AND seq = 3", BrokenLink::Altered(1)),
        ("DELETE FROM audit WHERE slot = 2 AND seq = 1", BrokenLink::Missing(1)),
        ("DELETE FROM audit WHERE slot = 1 AND seq = 2", BrokenLink::Missing(2)),
        ("DELETE FROM audit WHERE slot = 2 AND seq > 2", BrokenLink::Cut(3)),
        ("DELETE FROM audit WHERE slot = 0", BrokenLink::Cut(1)),
        // Rows of one chain in another, whose place is free.
        ("UPDATE audit SET slot = 1 WHERE slot = 2 AND seq = 4", BrokenLink::Altered(4)),
        // The order of the list alone.
        (
            "UPDATE audit SET number = -1 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 7; \
             UPDATE audit SET number = 7 WHERE number = -1",
            BrokenLink::Altered(2),
        ),
        ("DELETE FROM audit WHERE slot = 2; DELETE FROM audit_slots WHERE slot = 2", BrokenLink::Slots),
        ("DELETE FROM audit WHERE slot = 0; DELETE FROM audit_slots WHERE slot = 0", BrokenLink::Slots),
        (
            "DELETE FROM audit WHERE slot = 2; DELETE FROM audit_slots WHERE slot = 2; UPDATE meta SET audit_slots = 2",
            BrokenLink::Slots,
        ),
        ("UPDATE meta SET audit_slots_seal = decode(repeat('00', 32), 'hex')", BrokenLink::Slots),
        (SWAP_SLOTS, BrokenLink::Altered(1)),
        (
            "DELETE FROM audit WHERE slot = 1 AND seq = 3; UPDATE audit_slots SET seq = 2, \
             mac = (SELECT mac FROM audit WHERE slot = 1 AND seq = 2) WHERE slot = 1",
            BrokenLink::Head,
        ),
        // The record of another chain's end.
        (
            "DELETE FROM audit WHERE slot = 2; UPDATE audit_slots SET seq = 0, \
             mac = (SELECT mac FROM audit_slots WHERE slot = 1), seal = (SELECT seal FROM audit_slots WHERE slot = 1) WHERE slot = 2",
            BrokenLink::Head,
        ),
    ];
    for (sql, broken) in cases {
        let fixture = written();
        let store = fixture.command();
        assert!(store.verify_audit().unwrap().holds());
        fixture.sql(sql);
        assert_eq!(store.verify_audit().unwrap().broken, Some(*broken), "{sql}");
    }
}

#[test]
fn no_slot_is_added_to_a_list_that_was_altered() {
    let fixture = written();
    let (_one, _other) = (fixture.store(), fixture.store());
    fixture.sql("UPDATE meta SET audit_slots = 4");
    let refused = fixture.open(Access::Serve).unwrap_err().to_string();
    assert!(refused.contains("the list of its chains was altered"), "{refused}");
}

#[test]
fn what_is_rolled_back_leaves_no_trace_in_a_chain() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    let nothing = Change::RevokeTicket { id: TicketId::parse("tid_none").unwrap(), at: NOW };
    for number in 0..5 {
        assert_eq!(commit(&store, [event(number)]), Outcome::Applied);
        assert_eq!(commit(&store, [event(number), nothing.clone()]), Outcome::Conflict);
    }
    assert_eq!(store.verify_audit().unwrap(), AuditVerdict { rows: 5, broken: None, slot: None });
}
