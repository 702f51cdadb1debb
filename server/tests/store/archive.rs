//! Audit rows that are archived and then deleted: any direct change to the file is detected.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gatepass::store::{Archived, AuditCut, BrokenLink, Phase, Store, StoreError};
use gatepass_core::base::time::Time;
use gatepass_core::crypto::sha256;
use gatepass_core::records::request_id::RequestId;
use gatepass_core::store::archive_request::ArchiveRequest;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::{Change, Outcome};

use crate::fixture::*;

/// Makes a store with rows of the seconds 0 to `rows` - 1 after noon.
fn with_rows(fixture: &Fixture, rows: u64) -> Store {
    let store = fixture.store();
    let event = |n| Event {
        at: NOW.plus(n),
        reason: Some("因为\0\n\u{2028}\"".into()),
        request: (n % 2 == 0).then(|| RequestId::parse(&format!("req_{n}")).unwrap()),
        issuer: (n % 3 == 0).then(portal),
        ..event(Kind::TicketIssued, n)
    };
    assert_eq!(commit(&store, (0..rows).map(event).map(Change::Audit)), Outcome::Applied);
    store
}

fn archive(store: &Store, file: &Path, before: Option<Time>) -> Result<Archived, StoreError> {
    store.archive_audit(Some(file), &ArchiveRequest::new(before, NOW.plus(10_000)), &mut |_, _| ())
}

/// Deletes all rows that may go. Returns their number.
fn cut(store: &Store, before: Time) -> u64 {
    let mut rows = 0;
    loop {
        let AuditCut { rows: more, more: goes_on } = store.cut_audit(before, rows, NOW.plus(20_000)).unwrap();
        rows += more;
        if !goes_on {
            return rows;
        }
    }
}

#[test]
fn what_was_archived_may_be_deleted_and_the_chain_holds() {
    let fixture = Fixture::new();
    let store = with_rows(&fixture, 1_200);
    let file = |name: &str| fixture.dir().join(name);
    assert_eq!(cut(&store, NOW.plus(u64::MAX >> 1)), 0, "nothing was archived");
    let first = archive(&store, &file("a.jsonl"), Some(NOW.plus(1_000))).unwrap();
    assert_eq!((first.first, first.last, first.rows()), (1, 1_000, 1_000));
    assert_eq!(std::fs::metadata(file("a.jsonl")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(store.read_archive(&file("a.jsonl")).unwrap(), first);
    assert!(matches!(archive(&store, &file("a.jsonl"), None), Err(StoreError::FileExists(_))));
    assert_eq!(cut(&store, NOW.plus(900)), 900);
    let verdict = store.verify_audit().unwrap();
    // 300 rows are left, one row about the archive, and one about the deletion.
    assert_eq!((verdict.rows, verdict.broken), (302, None));
    let rows = audit(&store);
    assert_eq!(rows[0].seq, 901);
    let told: Vec<_> = rows[300..].iter().map(|row| (row.event.kind, row.event.count)).collect();
    assert_eq!(told, [(Kind::AuditArchived, 1_000), (Kind::AuditCut, 900)]);
    let second = archive(&store, &file("b.jsonl"), None).unwrap();
    assert_eq!((second.first, second.last), (1_001, 1_202));
    assert_eq!(store.read_archive(&file("b.jsonl")).unwrap(), second);
    assert_eq!(cut(&store, NOW.plus(50_000)), 302, "never more than was archived");
    assert_eq!(audit(&store).iter().map(|row| row.seq).collect::<Vec<_>>(), [1_203, 1_204]);
    assert!(store.verify_audit().unwrap().holds() && store.check().unwrap().is_sound());
    assert_eq!(commit(&store, [Change::Audit(event(Kind::TicketIssued, 1))]), Outcome::Applied);
    assert!(store.verify_audit().unwrap().holds());
    let copy = file("copy.db");
    assert!(store.backup(&copy, None, &mut |_, _| ()).unwrap().chain_verified);
}

#[test]
fn nothing_to_archive_leaves_no_file() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let file = fixture.dir().join("a.jsonl");
    assert_eq!(archive(&store, &file, None), Err(StoreError::NothingToArchive));
    let store = with_rows(&fixture, 3);
    assert_eq!(archive(&store, &file, Some(NOW)), Err(StoreError::NothingToArchive));
    assert!(!file.exists());
}

/// Returns the names in a directory, in their order.
fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_archive_without_a_place_is_a_new_file_in_the_directory_of_archives() {
    let fixture = Fixture::new();
    let store = with_rows(&fixture, 3);
    let dir = store.installation().archives();
    assert_eq!(dir, fixture.dir().join("archives"));
    let mut request = ArchiveRequest::new(Some(NOW.plus(2)), NOW);
    request.event.by_client = Some(portal());
    request.event.request = Some(RequestId::parse("req_7").unwrap());
    let first = store.archive_audit(None, &request, &mut |_, _| ()).unwrap();
    let second = store.archive_audit(None, &ArchiveRequest::new(None, NOW), &mut |_, _| ()).unwrap();
    assert_eq!((first.first, first.last, second.first, second.last), (1, 2, 3, 4));
    let time = NOW.rfc3339().replace(['-', ':'], "");
    assert_eq!(names(&dir), [format!("audit-1-2-{time}.jsonl"), format!("audit-3-4-{time}.jsonl")]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&first.path)), (0o700, 0o600));
    let bytes = std::fs::read(&first.path).unwrap();
    let hash: String = sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((first.bytes, &first.sha256), (u64::try_from(bytes.len()).unwrap(), &hash));
    assert_eq!(store.read_archive(&first.path).unwrap(), first);
    let told = audit(&store)[3].event.clone();
    let expected = Event { count: 2, reason: Some("rows 1 to 2".into()), ..request.event };
    assert_eq!(told, expected);
    // Nothing more is there, and a file of somebody else is left alone.
    std::fs::write(dir.join("notes"), "mine").unwrap();
    let none = store.archive_audit(None, &ArchiveRequest::new(Some(NOW), NOW), &mut |_, _| ());
    assert_eq!(none, Err(StoreError::NothingToArchive));
    assert_eq!(names(&dir).len(), 3);
}

#[test]
fn the_second_of_two_archives_and_one_that_may_not_be_recorded_leave_no_file() {
    let fixture = Fixture::new();
    let store = with_rows(&fixture, 3);
    let dir = store.installation().archives();
    let request = ArchiveRequest::new(None, NOW);
    for condition in [Change::RequireStateEpoch(77), Change::RequireClientEpoch { id: portal(), epoch: 77 }] {
        let request = ArchiveRequest { conditions: vec![condition], ..request.clone() };
        let refused = store.archive_audit(None, &request, &mut |_, _| ());
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        assert_eq!((names(&dir).len(), audit(&store).len()), (0, 3));
    }
    // Another one begins and ends while this one reads its file back.
    let mut other = None;
    let other_file = fixture.dir().join("other.jsonl");
    let overtaken = store.archive_audit(None, &request, &mut |phase, _| {
        if phase == Phase::Checking {
            other.get_or_insert_with(|| archive(&store, &other_file, None).unwrap());
        }
    });
    assert!(matches!(overtaken, Err(StoreError::Conflict(_))), "{overtaken:?}");
    assert_eq!(names(&dir), [""; 0]);
    assert_eq!(store.read_archive(&other_file).unwrap(), other.unwrap());
    assert_eq!(audit(&store).len(), 4);
    // Of two with the same name, too, one is recorded, and its file stays.
    let mut other = None;
    let overtaken = store.archive_audit(None, &request, &mut |phase, _| {
        if phase == Phase::Checking {
            other.get_or_insert_with(|| store.archive_audit(None, &request, &mut |_, _| ()).unwrap());
        }
    });
    assert!(matches!(overtaken, Err(StoreError::FileExists(_))), "{overtaken:?}");
    let other = other.unwrap();
    assert_eq!((names(&dir).len(), store.read_archive(&other.path).unwrap()), (1, other));
}

#[test]
fn a_cut_that_was_forged_shows() {
    let cases: &[(&str, BrokenLink)] = &[
        ("UPDATE meta SET audit_cut = 41", BrokenLink::Start),
        ("UPDATE meta SET audit_cut_mac = zeroblob(32)", BrokenLink::Start),
        ("UPDATE meta SET audit_cut_seal = zeroblob(32)", BrokenLink::Start),
        ("UPDATE meta SET audit_cut_seal = NULL", BrokenLink::Start),
        ("UPDATE meta SET audit_archived = 30, audit_archived_seal = NULL", BrokenLink::Start),
        ("UPDATE meta SET audit_archived = 60", BrokenLink::Start),
        ("UPDATE meta SET audit_archived = 0, audit_archived_seal = NULL", BrokenLink::Start),
        (
            "UPDATE meta SET audit_cut = 0, audit_cut_mac = NULL, audit_cut_seal = NULL",
            BrokenLink::Missing(1),
        ),
        ("DELETE FROM audit WHERE seq <= 45", BrokenLink::Missing(41)),
        ("UPDATE audit SET reason = 'x' WHERE seq = 41", BrokenLink::Altered(41)),
        (
            "DELETE FROM audit WHERE seq <= 45; UPDATE meta SET audit_cut = 45, \
             audit_cut_mac = (SELECT mac FROM audit WHERE seq = 46)",
            BrokenLink::Start,
        ),
        (
            "INSERT INTO audit SELECT 3, at, kind, subject, actor, client, ticket, session, key, address, refusal, \
             reason, count, mac, risk, issuer, issuer_user, request, sent_request, operator, stated_by, peer, by_user, by_client, roles FROM audit WHERE seq = 50",
            BrokenLink::Altered(41),
        ),
    ];
    for (sql, expected) in cases {
        let fixture = Fixture::new();
        let store = with_rows(&fixture, 100);
        archive(&store, &fixture.dir().join("a.jsonl"), Some(NOW.plus(50))).unwrap();
        assert_eq!(cut(&store, NOW.plus(40)), 40);
        assert!(store.verify_audit().unwrap().holds());
        fixture.sql().execute_batch(sql).unwrap();
        assert_eq!(store.verify_audit().unwrap().broken, Some(*expected), "{sql}");
        assert!(!store.check().unwrap().is_sound(), "{sql}");
        if *expected == BrokenLink::Start {
            let again = archive(&store, &fixture.dir().join("b.jsonl"), None);
            assert!(matches!(again, Err(StoreError::ChainBroken(_))), "{sql}");
            assert!(store.cut_audit(NOW.plus(900), 0, NOW).is_err(), "{sql}");
        }
    }
}

#[test]
fn an_altered_archive_shows() {
    let fixture = Fixture::new();
    let store = with_rows(&fixture, 20);
    let file = fixture.dir().join("a.jsonl");
    archive(&store, &file, None).unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let without = |at: usize| {
        let rest = lines.iter().enumerate().filter(|(i, _)| *i != at);
        rest.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let bad = (0..lines.len()).map(without).chain([
        whole.replace("ticket.issued", "ticket.revoked"),
        whole.replacen("\"count\":1", "\"count\":2", 1),
        whole.replacen("\"operator\":null", "\"operator\":\"root(0)\"", 1),
        whole.replacen("\"sent_request\":null,", "", 1),
        whole.replacen("\"by_user\":null,", "", 1),
        whole.replacen("\"roles\":null", "\"roles\":\"officer\"", 1),
        whole.replacen("archive\":3", "archive\":1", 1),
        whole.replacen("archive\":3", "archive\":2", 1),
        whole.replacen("archive\":3", "archive\":4", 1),
        whole.replacen("\"actor\":null", "\"actor\":\"usr_x\"", 1),
        format!("{whole}{{}}\n"),
        whole.trim_end().rsplit_once('}').unwrap().0.to_owned(),
        String::new(),
        "{}\n".into(),
        "\u{feff}".into(),
    ]);
    for (number, text) in bad.enumerate() {
        std::fs::write(&file, text).unwrap();
        assert!(matches!(store.read_archive(&file), Err(StoreError::BadArchive { .. })), "{number}");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(store.read_archive(&file).unwrap().rows(), 20);
    let other = Fixture::new();
    assert!(matches!(other.store().read_archive(&file), Err(StoreError::BadArchive { .. })));
}

#[test]
fn archives_of_the_former_formats_are_read() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let rows = (0..5).map(|n| Change::Audit(event(Kind::TicketIssued, n)));
    assert_eq!(commit(&store, rows), Outcome::Applied);
    let file = fixture.dir().join("a.jsonl");
    let written = archive(&store, &file, None).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let since_ten: &[_] = &["by_user", "by_client", "roles"];
    let since_nine: &[_] =
        &["issuer", "issuer_user", "request", "sent_request", "operator", "stated_by", "peer"];
    for (format, late) in [(2, [since_ten, &[]]), (1, [since_nine, since_ten])] {
        let text = text.replacen("archive\":3", &format!("archive\":{format}"), 1);
        let former = text.lines().map(|line| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            for late in late.concat() {
                line.as_object_mut().unwrap().remove(late);
            }
            format!("{line}\n")
        });
        std::fs::write(&file, former.collect::<String>()).unwrap();
        let read = store.read_archive(&file).unwrap();
        assert_eq!((read.first, read.last, &read.head), (1, written.last, &written.head), "format {format}");
    }
}

#[test]
fn an_older_copy_has_the_rows_and_the_start_that_it_had() {
    let fixture = Fixture::new();
    let store = with_rows(&fixture, 600);
    archive(&store, &fixture.dir().join("a.jsonl"), None).unwrap();
    let (before, after) = (fixture.dir().join("before.db"), fixture.dir().join("after.db"));
    store.backup(&before, None, &mut |_, _| ()).unwrap();
    assert_eq!(cut(&store, NOW.plus(300)), 300);
    store.backup(&after, None, &mut |_, _| ()).unwrap();
    store.close().unwrap();
    drop(store);
    for (copy, first) in [(&before, 1), (&after, 301)] {
        gatepass::store::restore(&fixture.installation(), copy, true, &mut |_, _| ()).unwrap();
        let store = fixture.store();
        assert!(store.verify_audit().unwrap().holds());
        assert_eq!(audit(&store)[0].seq, first);
    }
}
