//! No table grows without bound, and cleaning up delays no request. `GATEPASS_GROWTH=full` uses the largest size seen: 3
//! million used tokens in one session; without it there are 100 000.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use gatepass::store::{AuditFilter, KEEP_EXPIRED, Store, StoreError, StoreOptions};
use gatepass_core::records::session::{MAX_USED, RefreshDigest, Rotation, Session};
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::page::PageQuery;
use gatepass_core::store::query::{Query, Records, TokenQuery};

use crate::fixture::*;

fn is_full() -> bool {
    std::env::var("GATEPASS_GROWTH").is_ok_and(|size| size == "full")
}

fn count(fixture: &Fixture, table: &str) -> i64 {
    fixture.sql().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// Returns the resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Returns the next rotation of a flow: the successor has the next number.
fn next(number: u64, recorded: u32) -> Change {
    let Change::RotateRefresh { digest, rotation, mut successor, .. } = rotate(number, number + 1, 1) else {
        panic!()
    };
    successor.number = number + 1;
    Change::RotateRefresh { digest, rotation: Rotation { at: NOW, ..rotation }, successor, recorded }
}

fn is_known(store: &Store, token: u64) -> bool {
    let query = TokenQuery {
        caller: None,
        access: None,
        refresh: Some(RefreshDigest(digest(token))),
        assertion: None,
    };
    let Records::Token(found) = store.read(&Query::Token(query)).records else { panic!() };
    found.family.is_some()
}

#[test]
fn a_session_keeps_its_last_eight_used_tokens() {
    let fixture = Fixture::new();
    let store = fixture.store();
    assert_eq!(commit(&store, [begin_session(session(1), 0)]), Outcome::Applied);
    for number in 0..50 {
        assert_eq!(commit(&store, [next(number, 0)]), Outcome::Applied);
        let kept = i64::try_from((number + 2).min(MAX_USED + 1)).unwrap();
        assert_eq!(count(&fixture, "refresh_tokens"), kept, "{number}");
    }
    assert!((0..42).all(|old| !is_known(&store, old)) && (42..=50).all(|kept| is_known(&store, kept)));
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn a_session_that_holds_many_more_loses_them_in_small_steps() {
    let fixture = Fixture::new();
    let store = fixture.store();
    assert_eq!(commit(&store, [begin_session(session(1), 0)]), Outcome::Applied);
    plant(&fixture, 30);
    let mut before = count(&fixture, "refresh_tokens");
    for number in 0..40 {
        assert_eq!(commit(&store, [next(number, 0)]), Outcome::Applied);
        let now = count(&fixture, "refresh_tokens");
        assert!(now + 4 > before && now <= before + 1, "{number}: {before} {now}");
        before = now;
    }
    assert_eq!(before, 9);
    assert!((32..=40).all(|kept| is_known(&store, kept)));
}

#[test]
fn refreshes_that_are_only_counted_are_told_by_the_next_row() {
    let fixture = Fixture::new();
    let store = fixture.store();
    assert_eq!(commit(&store, [begin_session(session(1), 0)]), Outcome::Applied);
    let counted = |token| {
        let query = TokenQuery {
            caller: None,
            access: None,
            refresh: Some(RefreshDigest(digest(token))),
            assertion: None,
        };
        let Records::Token(found) = store.read(&Query::Token(query)).records else { panic!() };
        found.family.unwrap().refresh.refreshes
    };
    for (number, recorded, again, left) in [(0, 1, 0, 0), (1, 0, 0, 1), (2, 0, 3, 5), (3, 4, 0, 2)] {
        assert_eq!(commit(&store, [next(number, recorded)]), Outcome::Applied);
        let more = vec![Change::CountRefresh(RefreshDigest(digest(number + 1))); again];
        assert_eq!(commit(&store, more), Outcome::Applied);
        assert_eq!(counted(number + 1), left, "{number}");
    }
}

/// Gives session 1 `tokens` more used tokens, as an earlier version left them.
fn plant(fixture: &Fixture, tokens: u64) {
    fixture
        .sql()
        .execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) \
             INSERT INTO refresh_tokens (digest, session, issued_at, expires_at, used_at, salt, successor) \
             SELECT unhex(printf('%064x', n)), s.seq, 1, 2, 1, zeroblob(32), zeroblob(32) \
             FROM n, sessions s WHERE s.id = 'ses_1'",
            [i64::try_from(tokens).unwrap()],
        )
        .unwrap();
}

/// Measurements of sign-ins during the work.
struct ConcurrentSignIns {
    waits: Vec<Duration>,
    grown: u64,
}

/// Runs `work` while tickets are redeemed, one after the other.
fn beside_sign_ins(store: &Store, work: impl FnOnce() + Send) -> ConcurrentSignIns {
    // Tickets for later exist before.
    for number in 10_000..10_050 {
        sign_in(store, number, &mut Vec::new());
    }
    let before = resident();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            work();
            done.store(true, Relaxed);
        });
        let (mut waits, mut most, mut number) = (Vec::new(), before, 20_000);
        while !done.load(Relaxed) {
            sign_in(store, number, &mut waits);
            most = most.max(resident());
            number += 1;
        }
        waits.sort_unstable();
        ConcurrentSignIns { waits, grown: most - before }
    })
}

/// Issues a ticket and redeems it, in two commits.
fn sign_in(store: &Store, number: u64, waits: &mut Vec<Duration>) {
    let began = Instant::now();
    assert_eq!(commit(store, [Change::InsertTicket(ticket(number))]), Outcome::Applied);
    waits.push(began.elapsed());
    let began = Instant::now();
    let mut changes = redemption(number, number);
    for change in &mut changes {
        // For boss, who is never deleted.
        if let Change::InsertSession { session, .. } = change {
            session.user_id = boss();
        }
        if let Change::RequireUserEpoch { id, .. } = change {
            *id = boss();
        }
    }
    assert_eq!(commit(store, changes), Outcome::Applied);
    waits.push(began.elapsed());
}

fn boss() -> gatepass_core::records::id::UserId {
    gatepass_core::records::id::UserId::parse("usr_boss").unwrap()
}

fn sweep_all(store: &Store, now: gatepass_core::base::time::Time) {
    let (mut steps, mut most) = (0u32, 0);
    loop {
        let swept = store.sweep(now, 16).unwrap();
        (steps, most) = (steps + 1, most.max(swept.refresh_tokens));
        if !swept.more {
            break;
        }
    }
    println!("{steps} steps, at most {most} tokens each");
    assert!(steps > 10, "it went in {steps} steps");
}

fn tell(what: &str, tokens: u64, ConcurrentSignIns { waits, grown }: &ConcurrentSignIns) {
    let median = waits[waits.len() / 2];
    let worst = waits[waits.len() - 1];
    println!(
        "{what} of {tokens} tokens: {} commits, median {median:?}, worst {worst:?}, memory +{} KiB",
        waits.len(),
        grown / 1024
    );
    // Other tests of this process share its memory and the disk. Run alone, it is measured.
    if is_full() {
        assert!(*grown <= 5 * 1024 * 1024, "{what}: memory grew by {grown} bytes");
        assert!(worst <= Duration::from_millis(50), "{what}: somebody waited {worst:?}");
    }
}

#[test]
fn millions_of_tokens_are_swept_or_deleted_without_delaying_others() {
    let tokens = if is_full() { 3_000_000 } else { 100_000 };
    for deletes in [false, true] {
        let fixture = Fixture::new();
        let store = fixture.store();
        let long = if deletes { NOW.plus(90_000) } else { NOW };
        let session = Session { expires_at: long, ..session(1) };
        assert_eq!(commit(&store, [begin_session(session, 0)]), Outcome::Applied);
        plant(&fixture, tokens);
        let beside = beside_sign_ins(&store, || {
            if deletes {
                assert_eq!(commit(&store, [Change::DeleteUser(alice())]), Outcome::Applied);
            }
            sweep_all(&store, NOW.plus(KEEP_EXPIRED + 1));
        });
        tell(if deletes { "a deleted user" } else { "a swept session" }, tokens, &beside);
        let left = format!("(SELECT 1 FROM sessions WHERE user_id = '{}')", alice().as_str());
        assert_eq!((count(&fixture, &left), count(&fixture, "deleted_users")), (0, 0));
        assert!(!is_known(&store, 0));
    }
}

#[test]
fn the_log_stays_small_beside_somebody_who_stopped_reading() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let writer = fixture.store();
    assert_eq!(
        commit(&store, (0..2_000).map(|n| Change::Audit(event(Kind::TicketIssued, n)))),
        Outcome::Applied
    );
    let commits = if is_full() { 3_000 } else { 300 };
    let log = || std::fs::metadata(fixture.dir().join("gatepass.db-wal")).unwrap().len();
    let write = |number: u64| {
        let tickets = (0..100).map(|n| Change::InsertTicket(ticket(number * 100 + n)));
        assert_eq!(commit(&writer, tickets), Outcome::Applied);
    };
    let (before, mut read, mut after) = (log(), 0, 0);
    let each = |read: &mut u64, after: &mut u64| {
        *read += 1;
        if *read == 10 {
            // The reader stops here for a long time.
            (0..commits).for_each(write);
            *after = log();
        }
    };
    store
        .audit(&AuditFilter::default(), |_| {
            each(&mut read, &mut after);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    println!("{commits} commits beside a reader that stopped: the log from {before} to {after} bytes");
    assert_eq!(read, 2_000);
    assert!(after <= 24 * 1024 * 1024, "the log has {after} bytes");
    let Records::UserPage(page) = store.find(&Query::UserPage(PageQuery::new(None, 2))).unwrap().records
    else {
        panic!()
    };
    assert!(page.items.len() == 2 && page.next.is_some());
    (commits..2 * commits).for_each(write);
    let after = log();
    assert!(after <= 24 * 1024 * 1024, "the log has {after} bytes");
}

#[test]
fn a_full_disk_leaves_room_for_what_restricts() {
    let fixture = Fixture::new();
    assert_eq!(commit(&fixture.store(), (0..40).map(begin)), Outcome::Applied);
    drop(fixture.serve().unwrap());
    let reserve = fixture.dir().join("gatepass.reserve");
    let size = || std::fs::metadata(&reserve).unwrap().len();
    assert_eq!(size(), 4 * 1024 * 1024);
    let pages: u32 = fixture.sql().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let store = fixture.store_with(&StoreOptions { max_pages: Some(pages + 3), ..StoreOptions::default() });
    let mut issued = 0;
    while commit(&store, [Change::InsertTicket(ticket(issued))]) == Outcome::Applied {
        issued += 1;
    }
    assert!((1..1_000).contains(&issued) && store.is_disk_full() && size() == 0, "{issued}");
    assert_eq!(commit(&store, [Change::InsertTicket(ticket(5_000))]), Outcome::NotApplied);
    assert_eq!(commit(&store, [Change::EndSession { id: session(3).id, at: NOW }]), Outcome::Applied);
    assert_eq!(commit(&store, [spend(0), Change::RaiseEpoch { id: alice(), epoch: 0 }]), Outcome::Applied);
    assert_eq!(commit(&store, [spend(1), begin(100)]), Outcome::NotApplied, "one that opens something, too");
    assert_eq!(state(&store, 1), Some(gatepass_core::records::ticket::TicketState::Live));
    // Another process uses the same file.
    let other = fixture.store();
    assert!(other.is_disk_full());
    assert_eq!(commit(&other, [Change::InsertTicket(ticket(5_000))]), Outcome::NotApplied);
    assert!(fixture.store().check().unwrap().is_sound());
    other.make_reserve();
    assert!(!other.is_disk_full() && size() == 4 * 1024 * 1024);
    assert_eq!(commit(&other, [Change::InsertTicket(ticket(5_000))]), Outcome::Applied);
}
