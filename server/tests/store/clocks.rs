//! The stored clock mark, and records that are dated ahead of it.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass::store::Clock;
use gatepass::store::{Backend, ClockMark, EndedAhead};
use gatepass_core::base::time::Time;
use gatepass_core::records::session::Session;
use gatepass_core::records::ticket::{Ticket, TicketState};
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::{Change, Outcome};

use crate::engines::{Database, on_every_database};
use crate::fixture::*;

on_every_database!(
    the_mark_only_rises_unless_a_person_sets_it,
    the_last_jump_is_kept_and_one_in_use_until_it_is_forgotten,
    a_running_clock_takes_over_a_mark_that_was_set,
    what_is_dated_ahead_is_ended_for_good,
    a_used_ticket_and_an_ended_session_stay_as_they_are,
    an_open_challenge_that_is_dated_ahead_is_closed,
);

fn wall() -> Time {
    Time::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

fn before(time: Time, seconds: u64) -> Time {
    Time::from_unix(time.unix() - seconds)
}

fn mark(seconds: u64, resets: u64) -> ClockMark {
    ClockMark { mark: Time::from_unix(seconds), resets, jumped_at: None, ahead_since: None }
}

/// Stores the mark and the time of the last jump.
fn plant(fixture: &Fixture, mark: Time, jumped_at: Option<Time>) {
    let seconds = |time: Time| i64::try_from(time.unix()).unwrap();
    fixture
        .sql()
        .execute(
            "UPDATE meta SET clock_mark = ?1, clock_jumped_at = ?2",
            (seconds(mark), jumped_at.map(seconds)),
        )
        .unwrap();
}

fn the_mark_only_rises_unless_a_person_sets_it<D: Database>() {
    let fixture = D::with_records();
    let (one, other) = (fixture.open(), fixture.open());
    assert_eq!(one.clock_state().unwrap(), mark(0, 0));
    assert_eq!(one.raise_clock_mark(mark(50, 0)).unwrap(), mark(50, 0));
    assert_eq!(other.raise_clock_mark(mark(40, 0)).unwrap(), mark(50, 0));
    other.set_clock_mark(Time::from_unix(7), Some(Event::new(Kind::ClockReset, NOW))).unwrap();
    assert_eq!(audit(&*one).len(), 1);
    let reset = ClockMark { jumped_at: Some(Time::from_unix(7)), ..mark(7, 1) };
    assert_eq!(one.raise_clock_mark(mark(60, 0)).unwrap(), reset);
    assert_eq!(one.clock_state().unwrap(), reset);
}

fn the_last_jump_is_kept_and_one_in_use_until_it_is_forgotten<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    let at = |jumped: Option<u64>, since: Option<u64>| ClockMark {
        jumped_at: jumped.map(Time::from_unix),
        ahead_since: since.map(Time::from_unix),
        ..mark(50, 0)
    };
    for (given, stands) in [
        (at(None, Some(50)), at(None, Some(50))),
        (at(None, Some(60)), at(None, Some(50))),
        (at(Some(70), None), at(Some(70), Some(50))),
        (at(Some(60), None), at(Some(70), Some(50))),
        (at(None, None), at(Some(70), Some(50))),
    ] {
        assert_eq!(store.raise_clock_mark(given).unwrap(), stands);
    }
    assert_eq!(store.forget_clock_ahead().unwrap(), at(Some(70), None));
    assert_eq!(fixture.open().clock_state().unwrap(), at(Some(70), None));
}

fn a_running_clock_takes_over_a_mark_that_was_set<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    let clock = Clock::start(&*store).unwrap();
    let kept = store.clock_state().unwrap().mark;
    assert!(kept > Time::from_unix(0));
    // Another process stored a wrong time.
    let wrong = clock.now().plus(1_000_000);
    store.raise_clock_mark(mark(wrong.unix(), 0)).unwrap();
    clock.persist(&*store).unwrap();
    assert!(clock.now() >= wrong);
    assert!(clock.status().behind.is_some());
    assert!(Clock::start(&*store).unwrap().now() >= wrong);
    assert!(!clock.take_stepped_back());
    // An administrator resets it.
    let generation = store.keys().unwrap().generation;
    store.set_clock_mark(kept, None).unwrap();
    assert!(store.keys().unwrap().generation > generation, "running servers notice with the next read");
    assert_eq!(clock.resets(), 0);
    clock.persist(&*store).unwrap();
    assert!(clock.now() < wrong);
    assert_eq!((clock.status().behind, clock.resets()), (None, 1));
    assert!(clock.take_stepped_back());
    assert!(store.clock_state().unwrap().mark < wrong);
    assert_eq!(clock.sweeps_before(), None, "an hour has not passed");
}

#[test]
fn a_jump_at_a_start_is_used_and_does_not_move_the_mark() {
    let fixture = Fixture::new();
    let (now, store) = (wall(), fixture.store());
    let planted = before(now, 8 * 3600);
    plant(&fixture, planted, None);
    let clock = Clock::start(&store).unwrap();
    assert!(clock.now() >= now);
    assert!(clock.status().ahead.is_some());
    clock.persist(&store).unwrap();
    let kept = store.clock_state().unwrap();
    assert!(planted.until(kept.mark) < 3600, "the mark goes on by itself: {kept:?}");
    assert!(kept.ahead_since.is_some());
    assert_eq!(clock.sweeps_before(), None);
    assert!(!clock.is_past_a_jump());
    // The wall clock is right again, as at a restart.
    plant(&fixture, now, None);
    let clock = Clock::start(&store).unwrap();
    assert!(clock.is_past_a_jump());
    clock.forget_jump(&store).unwrap();
    assert!(!clock.is_past_a_jump());
    assert_eq!(store.clock_state().unwrap().ahead_since, None);
}

#[test]
fn a_restart_does_not_shorten_the_wait_before_a_sweep() {
    let fixture = Fixture::new();
    let (now, store) = (wall(), fixture.store());
    for (jumped_at, sweeps) in
        [(None, true), (Some(before(now, 3000)), false), (Some(before(now, 3600)), true)]
    {
        plant(&fixture, now, jumped_at);
        let clock = Clock::start(&store).unwrap();
        assert_eq!(clock.sweeps_before().is_some(), sweeps, "{jumped_at:?}");
    }
}

/// Issues sessions and tickets 0 to `count`. Those from `ahead` on are dated ahead of [`NOW`].
fn issue(store: &dyn Backend, count: u64, ahead: u64) {
    let at = |n| if n < ahead { NOW.plus(60) } else { NOW.plus(61) };
    let tickets = (0..count).map(|n| Change::InsertTicket(Ticket { issued_at: at(n), ..ticket(n) }));
    assert_eq!(commit(store, tickets), Outcome::Applied);
    let sessions = (0..count).map(|n| begin_session(Session { signed_in_at: at(n), ..session(n) }, n));
    assert_eq!(commit(store, sessions), Outcome::Applied);
}

fn what_is_dated_ahead_is_ended_for_good<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    issue(&*store, 5, 3);
    assert!(store.newest_are_dated_ahead(NOW).unwrap());
    assert!(!store.newest_are_dated_ahead(NOW.plus(1)).unwrap());
    assert_eq!(store.end_dated_ahead(NOW.plus(1)).unwrap(), EndedAhead::default());
    let ended = EndedAhead { sessions: 2, tickets: 2, challenges: 0 };
    assert_eq!(store.end_dated_ahead(NOW).unwrap(), ended);
    assert_eq!(store.end_dated_ahead(NOW).unwrap(), EndedAhead::default(), "once");
    assert!(!store.newest_are_dated_ahead(NOW).unwrap());
    assert_eq!(fixture.count("sessions WHERE ended_at IS NULL"), 3);
    for (number, expected) in
        [(2, TicketState::Live), (3, TicketState::Revoked(NOW)), (4, TicketState::Revoked(NOW))]
    {
        assert_eq!(state(&*store, number), Some(expected), "ticket {number}");
    }
    // A record that ended is swept an hour later, and not when its date has passed.
    let swept = store.sweep(NOW.plus(3601), 100).unwrap();
    assert_eq!((swept.sessions, swept.tickets), (2, 2));
}

fn a_used_ticket_and_an_ended_session_stay_as_they_are<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    issue(&*store, 2, 0);
    fixture.execute("UPDATE tickets SET spent_at = 5");
    fixture.execute("UPDATE sessions SET ended_at = 5");
    assert!(!store.newest_are_dated_ahead(NOW).unwrap());
    assert_eq!(store.end_dated_ahead(NOW).unwrap(), EndedAhead::default());
    assert_eq!(fixture.count("sessions WHERE ended_at = 5"), 2);
    assert_eq!(fixture.count("tickets WHERE spent_at = 5"), 2);
}

fn an_open_challenge_that_is_dated_ahead_is_closed<D: Database>() {
    let fixture = D::with_records();
    let store = fixture.open();
    let now = NOW.unix();
    assert_eq!(commit(&*store, (1..4).map(|n| Change::InsertTicket(ticket(n)))), Outcome::Applied);
    for (ticket, issued_at, answered) in [("tid_1", 61, 0), ("tid_2", 60, 0), ("tid_3", 61, 1)] {
        let digest = &format!("(SELECT digest FROM tickets WHERE id = '{ticket}')");
        fixture.execute(&format!(
            "INSERT INTO challenges (digest, user_id, user_epoch, client_id, for_audience, bind, scope, methods, device, network, \
             expires_at, wrong, answered, issued_at, state_epoch, repeated) \
             VALUES ({digest}, '{}', 0, 'portal', 0, 0, '', '[]', {digest}, '', {}, 0, {answered}, {}, 0, 0)",
            alice().as_str(),
            now + 361,
            now + issued_at,
        ));
    }
    assert!(store.newest_are_dated_ahead(NOW).unwrap());
    assert_eq!(store.end_dated_ahead(NOW).unwrap(), EndedAhead { challenges: 1, ..EndedAhead::default() });
    assert!(!store.newest_are_dated_ahead(NOW).unwrap());
    assert_eq!(fixture.count("challenges WHERE answered = 0"), 1);
}

#[test]
fn thousands_are_ended_in_small_transactions() {
    let fixture = Fixture::new();
    let store = fixture.store();
    issue(&store, 1203, 0);
    let commits = |sql: &rusqlite::Connection| -> i64 {
        sql.query_row("SELECT commits FROM meta", [], |row| row.get(0)).unwrap()
    };
    let sql = fixture.sql();
    let first = commits(&sql);
    let ended = store.end_dated_ahead(NOW).unwrap();
    assert_eq!((ended.sessions, ended.tickets), (1203, 1203));
    assert_eq!(commits(&sql) - first, 6, "500 rows in each");
}

/// Columns that hold no time, in tables with times. A new column belongs in the table of the docs or here.
const NO_TIMES: &[&str] = &[
    "tickets: seq id digest user_id client_id issuer for_audience bind scope client_ip actor reason state_epoch delivery_request \
     delivery_salt delivery_session delivery_refresh delivery_challenge repeated client_epoch issuer_epoch",
    "sessions: seq id user_id user_epoch actor actor_epoch client_id bind for_audience purpose scope methods state_epoch \
     client_epoch issuer issuer_epoch",
    "refresh_tokens: digest session salt successor number refreshes",
    "challenges: seq digest user_id user_epoch actor actor_epoch reason client_id for_audience bind scope methods ticket device \
     network wrong answered state_epoch delivery_request delivery_salt delivery_session delivery_refresh repeated client_epoch \
     issuer issuer_epoch",
    "revoked_tokens: token_id",
    "used_assertions: digest",
    "totp_devices: seq id user_id name hash digits sealed verified_by vouched_for",
    "backup_codes: user_id digest device",
    "factor_guesses: user_id wrong locks",
    "passwords: user_id hash wrong locks",
    "habits: user_id hours",
    "users: seq id username email phone name gender address status must_change_password epoch revision second_factor roles",
    "clients: seq id name scope default_scope audiences enabled token_lifetime user_token_lifetime revision second_factor epoch trusted_context roles jwks signing_algorithm",
    "client_secrets: client_id position id digest",
    "keys: seq kid alg state sealed beside",
    "generations: number id",
    "deleted_users: seq user_id",
    "audit: seq kind subject actor client ticket session key address refusal reason count risk mac issuer issuer_user request sent_request operator stated_by peer by_user by_client roles",
    "meta: id generation clock_resets audit_seq audit_mac audit_seal audit_key master_check commits state_epoch commit_id parent_id \
     installation master_key_id master_key_file witness_file handover audit_archived audit_archived_seal audit_cut audit_cut_mac \
     audit_cut_seal identifier_rules numbering_plan identifiers_made",
    "identifiers: user kind canonical",
    "ambiguous_identifiers: canonical",
];

#[test]
fn the_docs_say_of_every_stored_time_what_a_future_one_means() {
    let fixture = Fixture::new();
    drop(fixture.store());
    let sql = fixture.sql();
    let mut columns = sql
        .prepare(
            "SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let stored: BTreeSet<String> =
        columns.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let no_times: BTreeSet<String> = NO_TIMES
        .iter()
        .filter_map(|line| line.split_once(": "))
        .flat_map(|(table, columns)| {
            columns.split_whitespace().map(move |column| format!("{table}.{column}"))
        })
        .collect();
    let docs = include_str!("../../../docs/operating.md");
    let section = docs.split("| Stored time |").nth(1).unwrap().split("\n\n").next().unwrap();
    let told: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert!(told.is_disjoint(&no_times));
    let known: BTreeSet<String> = told.union(&no_times).cloned().collect();
    assert_eq!(stored.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "not told");
    assert_eq!(known.difference(&stored).collect::<Vec<_>>(), Vec::<&String>::new(), "not stored");
}
