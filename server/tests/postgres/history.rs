//! The answers to every redemption, and a check of them against what the database holds in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use gatepass_core::store::change::Outcome;

use crate::session::Session;

/// One attempt to redeem a ticket, and its answer. Every attempt has a session of its own, which it opens if it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) redeemer: u64,
    pub(crate) ticket: u64,
    pub(crate) session: u64,
    /// The moments when it began and when it was answered, on a clock that ticks at each of them.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) outcome: Outcome,
}

/// Every attempt so far.
#[derive(Default)]
pub(crate) struct History {
    clock: AtomicU64,
    sessions: AtomicU64,
    attempts: Mutex<Vec<Attempt>>,
}

impl History {
    /// Records an attempt: `commit` redeems with the session that it is given.
    pub(crate) fn attempt(&self, redeemer: u64, ticket: u64, commit: impl FnOnce(u64) -> Outcome) -> Outcome {
        let session = self.sessions.fetch_add(1, Ordering::SeqCst);
        let start = self.clock.fetch_add(1, Ordering::SeqCst);
        let outcome = commit(session);
        let end = self.clock.fetch_add(1, Ordering::SeqCst);
        let attempt = Attempt { redeemer, ticket, session, start, end, outcome };
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
        outcome
    }

    pub(crate) fn into_attempts(self) -> Vec<Attempt> {
        self.attempts.into_inner().unwrap()
    }
}

/// The contents of the database in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) spent: BTreeSet<u64>,
    pub(crate) sessions: BTreeSet<u64>,
}

impl Kept {
    pub(crate) fn read(url: &str) -> Self {
        let session = Session::open(url);
        let numbers = |sql: &str| {
            let rows = session.rows(sql).unwrap();
            rows.into_iter().map(|row| row[0].split_once('_').unwrap().1.parse().unwrap()).collect()
        };
        Self {
            spent: numbers("SELECT id FROM tickets WHERE spent_at IS NOT NULL"),
            sessions: numbers("SELECT id FROM sessions"),
        }
    }
}

/// A promise that was broken, about a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Two attempts were answered as applied, or have sessions.
    Twice(u64),
    /// An attempt was answered as applied, and its session is missing.
    Lost(u64),
    /// An attempt was answered as one that wrote nothing, and its session is there.
    Denied(u64),
    /// It was spent without a session.
    Nothing(u64),
    /// It has a session, and is still good.
    Good(u64),
    /// An attempt was refused before another one can have spent it.
    Refused(u64),
    /// Nobody has redeemed it.
    Left(u64),
    /// A session that no attempt has opened.
    Foreign(u64),
}

/// The numbers of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) applied: u64,
    pub(crate) conflict: u64,
    pub(crate) not_applied: u64,
    pub(crate) unknown: u64,
    /// Those of the unknown that turned out to be applied.
    pub(crate) unknown_applied: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { applied, conflict, not_applied, unknown, unknown_applied } = self;
        write!(
            f,
            "{applied} applied, {conflict} conflicts, {not_applied} not applied, {unknown} unknown of which {unknown_applied} \
             were applied"
        )
    }
}

/// Checks that each of `attempts` was answered as the database shows, and that every ticket was redeemed once.
pub(crate) fn check(attempts: &[Attempt], kept: &Kept) -> Result<Summary, Vec<Broken>> {
    let (mut broken, mut summary) = (Vec::new(), Summary::default());
    let mut tickets: BTreeMap<u64, Vec<&Attempt>> = BTreeMap::new();
    attempts.iter().for_each(|attempt| tickets.entry(attempt.ticket).or_default().push(attempt));
    for (&ticket, attempts) in &tickets {
        let is_kept = |attempt: &Attempt| kept.sessions.contains(&attempt.session);
        for attempt in attempts {
            match (attempt.outcome, is_kept(attempt)) {
                (Outcome::Applied, true) => summary.applied += 1,
                (Outcome::Applied, false) => broken.push(Broken::Lost(ticket)),
                (Outcome::Conflict, false) => summary.conflict += 1,
                (Outcome::NotApplied, false) => summary.not_applied += 1,
                (Outcome::Conflict | Outcome::NotApplied, true) => broken.push(Broken::Denied(ticket)),
                (Outcome::Unknown, is_kept) => {
                    summary.unknown += 1;
                    summary.unknown_applied += u64::from(is_kept);
                }
            }
        }
        let winners = || attempts.iter().filter(|a| a.outcome == Outcome::Applied || is_kept(a));
        if winners().count() > 1 {
            broken.push(Broken::Twice(ticket));
        }
        let first = winners().map(|winner| winner.start).min();
        match (first, kept.spent.contains(&ticket)) {
            (Some(_), true) => {}
            (Some(_), false) => broken.push(Broken::Good(ticket)),
            (None, true) => broken.push(Broken::Nothing(ticket)),
            (None, false) => broken.push(Broken::Left(ticket)),
        }
        let too_soon =
            |a: &&&Attempt| a.outcome == Outcome::Conflict && first.is_none_or(|first| a.end < first);
        if attempts.iter().any(|attempt| too_soon(&attempt)) {
            broken.push(Broken::Refused(ticket));
        }
    }
    let known: BTreeSet<u64> = attempts.iter().map(|attempt| attempt.session).collect();
    broken.extend(kept.sessions.difference(&known).map(|session| Broken::Foreign(*session)));
    if broken.is_empty() { Ok(summary) } else { Err(broken) }
}

#[cfg(test)]
mod tests {
    use Outcome::{Applied, Conflict, NotApplied, Unknown};

    use super::*;

    /// Attempts at ticket 1, one after the other. Each has its number as session.
    fn attempts(outcomes: &[Outcome]) -> Vec<Attempt> {
        let attempt = |(number, &outcome)| Attempt {
            redeemer: number,
            ticket: 1,
            session: number,
            start: 2 * number,
            end: 2 * number + 1,
            outcome,
        };
        (0..).zip(outcomes).map(attempt).collect()
    }

    fn checked(outcomes: &[Outcome], spent: bool, sessions: &[u64]) -> Result<Summary, Vec<Broken>> {
        let spent = if spent { BTreeSet::from([1]) } else { BTreeSet::new() };
        check(&attempts(outcomes), &Kept { spent, sessions: sessions.iter().copied().collect() })
    }

    #[test]
    fn right_histories_pass() {
        let summary = checked(&[NotApplied, Applied, Conflict], true, &[1]).unwrap();
        assert_eq!(summary, Summary { applied: 1, conflict: 1, not_applied: 1, ..Summary::default() });
        let summary = checked(&[Unknown, Unknown, Conflict], true, &[1]).unwrap();
        assert_eq!(summary, Summary { unknown: 2, unknown_applied: 1, conflict: 1, ..Summary::default() });
    }

    #[test]
    fn wrong_histories_are_found() {
        for (outcomes, spent, sessions, broken) in [
            (&[Applied, Applied][..], true, &[0, 1][..], vec![Broken::Twice(1)]),
            (&[Unknown, Applied], true, &[0, 1], vec![Broken::Twice(1)]),
            (&[Applied, Applied], true, &[1], vec![Broken::Lost(1), Broken::Twice(1)]),
            (&[Applied, Conflict], true, &[], vec![Broken::Lost(1)]),
            (&[Applied, Conflict], false, &[0], vec![Broken::Good(1)]),
            (&[NotApplied, Conflict], true, &[0], vec![Broken::Denied(1)]),
            (&[Unknown, Conflict], true, &[1], vec![Broken::Denied(1), Broken::Refused(1)][..1].to_vec()),
            (&[Conflict, Applied], true, &[1], vec![Broken::Refused(1)]),
            (&[Unknown, Conflict], true, &[], vec![Broken::Nothing(1), Broken::Refused(1)]),
            (&[NotApplied, Unknown], false, &[], vec![Broken::Left(1)]),
            (&[Applied], true, &[0, 9], vec![Broken::Foreign(9)]),
        ] {
            assert_eq!(checked(outcomes, spent, sessions), Err(broken), "{outcomes:?} {spent} {sessions:?}");
        }
    }

    #[test]
    fn an_attempt_is_recorded_with_its_time() {
        let history = History::default();
        let outer = history.attempt(1, 1, |_| history.attempt(2, 1, |_| Conflict));
        assert_eq!(outer, Conflict);
        let all = history.into_attempts();
        assert_eq!(
            all.iter().map(|a| (a.redeemer, a.session, a.start, a.end)).collect::<Vec<_>>(),
            [(2, 1, 1, 2), (1, 0, 0, 3)]
        );
    }
}
