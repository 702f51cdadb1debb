//! `docs/embedding.md` against the code: every change, every query and every limit has one row.
#![allow(clippy::panic, reason = "a failed expectation is a failed test")]

use gatepass_core::records::challenge::MAX_WRONG;
use gatepass_core::records::factor::MAX_DEVICES;
use gatepass_core::records::session::{MAX_DELETED, MAX_USED};
use gatepass_core::records::sign_in_history::{MAX_FAILURES, MAX_PLACES};
use gatepass_core::store::page::MAX_PAGE;
use gatepass_core::store::query::MAX_SESSIONS;
use gatepass_core::{Change, Query};
use gatepass_tests::guard::Guard;

const PAGE: &str = include_str!("../../docs/embedding.md");

/// The rows of the table below `heading`, cell by cell.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, below) = PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let lines =
        below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    lines.skip(2).map(cells).collect()
}

/// The names in the first column, in order.
fn names(heading: &str) -> Vec<String> {
    let first: Vec<&str> = table(heading).into_iter().filter_map(|row| row.first().copied()).collect();
    sorted(&first)
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| name.trim_matches('`').to_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_change_and_every_query_has_a_row() {
    assert_eq!(names("### Changes"), sorted(Change::NAMES));
    assert_eq!(names("### Queries"), sorted(Query::NAMES));
}

#[test]
fn a_change_has_a_condition_where_it_has_a_guard() {
    for row in table("### Changes") {
        let [name, condition, effect] = row[..] else { panic!("{row:?}") };
        let guarded = Guard::ALL.iter().any(|guard| guard.meaning().0.contains(name));
        assert_eq!(condition != "always", guarded, "{name}");
        assert!(!effect.is_empty(), "{name}");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    let number = |what: &str| {
        let row = table("### Limits").into_iter().find(|row| row.first() == Some(&what));
        row.and_then(|row| row.get(1)?.parse::<u64>().ok()).unwrap_or_else(|| panic!("no number of {what}"))
    };
    let limits = [
        ("sessions listed", MAX_SESSIONS as u64),
        ("records of a page", MAX_PAGE as u64),
        ("wrong codes that close a challenge", MAX_WRONG.into()),
        ("devices of a user", MAX_DEVICES as u64),
        ("used refresh tokens that a session keeps", MAX_USED),
        ("refresh tokens that one rotation deletes", MAX_DELETED),
        ("devices on networks remembered of a user", MAX_PLACES as u64),
        ("failures remembered of a user", MAX_FAILURES as u64),
    ];
    assert_eq!(table("### Limits").len(), limits.len());
    for (what, limit) in limits {
        assert_eq!(number(what), limit, "{what}");
    }
}
