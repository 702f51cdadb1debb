//! Audit rows of several chains that are archived in one file, and then deleted.

use std::path::Path;

use gatepass::store::postgres::PostgresStore;
use gatepass::store::prelude::*;
use gatepass::store::{Archived, BrokenLink, StoreError};
use gatepass_core::base::time::Time;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::Change;

use crate::cluster::Fixture;
use crate::events::{commit, event, listed, write};
use crate::fixture::NOW;

fn archive(store: &PostgresStore, file: &Path, before: Option<Time>) -> Result<Archived, StoreError> {
    store.archive_audit(Some(file), &ArchiveRequest::new(before, NOW.plus(10_000)), &mut |_, _| ())
}

/// Deletes all rows that may go. Returns their number.
fn cut(store: &PostgresStore, before: Time) -> u64 {
    let mut rows = 0;
    loop {
        let cut = store.cut_audit(before, rows, NOW.plus(20_000)).unwrap();
        rows += cut.rows;
        if !cut.more {
            return rows;
        }
    }
}

/// Two servers that have written 600 and 300 rows, from the first second of noon on.
fn written() -> (Fixture, PostgresStore) {
    let fixture = Fixture::empty();
    let (one, other) = (fixture.store(), fixture.store());
    let events = |count| (0..count).map(event);
    commit(&one, events(600));
    commit(&other, events(300));
    (fixture, one)
}

#[test]
fn one_file_has_the_rows_of_all_chains_and_only_what_it_has_is_deleted() {
    let (fixture, store) = written();
    let file = |name: &str| fixture.dir().join(name);
    assert_eq!(cut(&store, NOW.plus(u64::MAX >> 1)), 0, "nothing was archived");
    let first = archive(&store, &file("a"), Some(NOW.plus(200))).unwrap();
    assert_eq!((first.first, first.last, first.rows()), (1, 800, 400));
    assert_eq!(store.read_archive(&file("a")).unwrap(), first);
    assert!(matches!(archive(&store, &file("a"), None), Err(StoreError::FileExists(_))));
    assert!(matches!(archive(&store, &file("b"), Some(NOW.plus(200))), Err(StoreError::NothingToArchive)));
    // Those from before its time, of each chain.
    assert_eq!(cut(&store, NOW.plus(150)), 300);
    let verdict = store.verify_audit().unwrap();
    assert_eq!(
        (verdict.rows, verdict.broken),
        (602, None),
        "with one about the archive, and one about the deletion"
    );
    let told: Vec<_> = listed(&store)[600..].iter().map(|row| (row.event.kind, row.event.count)).collect();
    assert_eq!(told, [(Kind::AuditArchived, 400), (Kind::AuditCut, 300)]);
    let rest = archive(&store, &file("b"), None).unwrap();
    assert_eq!((rest.first, rest.last, rest.rows()), (201, 902, 502));
    assert_eq!(cut(&store, NOW.plus(u64::MAX >> 1)), 602);
    assert!(store.verify_audit().unwrap().holds());
    assert_eq!(listed(&store).len(), 2);
    for name in ["a", "b"] {
        store.read_archive(&file(name)).unwrap();
    }
}

#[test]
fn an_altered_archive_shows() {
    let fixture = Fixture::empty();
    let (one, other) = (fixture.store(), fixture.store());
    write(&one, 3);
    write(&other, 3);
    let file = fixture.dir().join("a");
    archive(&one, &file, None).unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let with = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let without = |at: usize| with(&[&lines[..at], &lines[at + 1..]].concat());
    let sections = [&lines[..1], &lines[6..11], &lines[1..6], &lines[11..]].concat();
    let bad = (0..lines.len()).map(without).chain([
        with(&sections),
        with(&[&lines[..6], &lines[11..]].concat()),
        with(&[&lines[..6], &lines[1..]].concat()),
        whole.replacen("\"slot\":1", "\"slot\":2", 1),
        whole.replacen("\"first\":1,\"gate", "\"first\":2,\"gate", 1),
        whole.replacen("\"rows\":6", "\"rows\":7", 1),
        whole.replacen("\"count\":1", "\"count\":2", 1),
        format!("{whole}{{}}\n"),
    ]);
    for (number, text) in bad.enumerate() {
        assert!(text != whole, "{number}");
        std::fs::write(&file, text).unwrap();
        assert!(matches!(one.read_archive(&file), Err(StoreError::BadArchive { .. })), "{number}");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(one.read_archive(&file).unwrap().rows(), 6);
    assert!(Fixture::empty().store().read_archive(&file).is_err(), "another installation");
}

#[test]
fn rows_are_archived_once_and_a_file_that_was_not_recorded_is_no_archive() {
    let (fixture, store) = written();
    let other = fixture.command();
    let mut made = None;
    let file = |name: &str| fixture.dir().join(name);
    let overtaken = store.archive_audit(Some(&file("a")), &ArchiveRequest::new(None, NOW), &mut |_, _| {
        made.get_or_insert_with(|| archive(&other, &file("b"), None).unwrap());
    });
    assert!(matches!(overtaken, Err(StoreError::Conflict(_))), "{overtaken:?}");
    assert!(!file("a").exists() && file("b").exists());
    // A condition of whoever asked does not hold.
    let request =
        ArchiveRequest { conditions: vec![Change::RequireStateEpoch(7)], ..ArchiveRequest::new(None, NOW) };
    let refused = store.archive_audit(Some(&file("c")), &request, &mut |_, _| ());
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert!(!file("c").exists());
    assert!(store.verify_audit().unwrap().holds());
}

#[test]
fn a_cut_that_was_forged_shows() {
    let zeros = "decode(repeat('00', 32), 'hex')";
    let cases = [
        ("UPDATE audit_slots SET cut = 41 WHERE slot = 1".to_owned(), BrokenLink::Start),
        (format!("UPDATE audit_slots SET cut_mac = {zeros} WHERE slot = 2"), BrokenLink::Start),
        ("UPDATE audit_slots SET cut_seal = NULL WHERE slot = 1".into(), BrokenLink::Start),
        ("UPDATE audit_slots SET archived = 599 WHERE slot = 1".into(), BrokenLink::Start),
        ("UPDATE audit_slots SET cut = 0, cut_mac = NULL, cut_seal = NULL WHERE slot = 2".into(), BrokenLink::Missing(1)),
        ("DELETE FROM audit WHERE slot = 1 AND seq <= 45".into(), BrokenLink::Missing(41)),
        // The marks of another slot.
        (
            "UPDATE audit_slots a SET (archived, archived_seal, cut, cut_mac, cut_seal) = \
             (SELECT archived, archived_seal, cut, cut_mac, cut_seal FROM audit_slots b WHERE b.slot = 3 - a.slot) WHERE slot > 0"
                .into(),
            BrokenLink::Start,
        ),
    ];
    for (sql, expected) in cases {
        let (fixture, store) = written();
        archive(&store, &fixture.dir().join("a"), Some(NOW.plus(50))).unwrap();
        assert_eq!(cut(&store, NOW.plus(40)), 80);
        assert!(store.verify_audit().unwrap().holds());
        fixture.sql(&sql);
        assert_eq!(store.verify_audit().unwrap().broken, Some(expected), "{sql}");
        if expected == BrokenLink::Start {
            let again = archive(&store, &fixture.dir().join("b"), None);
            assert!(matches!(again, Err(StoreError::ChainBroken(_))), "{sql}: {again:?}");
            assert!(store.cut_audit(NOW.plus(900), 0, NOW).is_err(), "{sql}");
        }
    }
}
