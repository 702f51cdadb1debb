//! Metrics for a monitoring system: counters that requests raise, and the text of all (OpenMetrics 1.0).
//!
//! - [`families`]: every metric, once.
//! - `requests`: requests by route and status.
//! - [`text`]: samples, and their text.
//!
//! No label is text of a request: labels are routes of the table, words of the audit log, and names of ours.

pub mod families;
mod requests;
pub mod text;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gatepass_core::api::routes::ROUTES;
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_core::store::change::{Change, Outcome};

use crate::measures::Count;
use families::Family;
use requests::RequestMeasures;
use text::Samples;

/// The routes that sign people in.
const SIGN_INS: [&str; 3] = ["/auth/ticket/signin", "/auth/login", "/auth/mfa/verify-challenge"];

/// The counters that requests raise.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: RequestMeasures,
    /// Requests that got 429.
    pub guesses_limited: Count,
    commits: [Count; OUTCOMES.len()],
    refusals: Words<(Option<usize>, Refusal)>,
    sign_ins: Words<(Option<Kind>, Option<Refusal>)>,
    events: Words<Kind>,
}

/// Every outcome of a commit, with its word.
const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Applied, "applied"),
    (Outcome::Conflict, "conflict"),
    (Outcome::NotApplied, "not-applied"),
    (Outcome::Unknown, "unknown"),
];

/// Counts by words of a fixed list, so that they are bounded.
#[derive(Debug)]
struct Words<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for Words<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> Words<K> {
    fn add(&self, key: K, count: u32) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counts.entry(key).or_default();
        *counted = counted.saturating_add(u64::from(count));
    }

    fn read(&self) -> Vec<(K, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(key, count)| (*key, *count)).collect()
    }
}

/// An answer, as far as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The number of its route.
    pub route: Option<usize>,
    /// Its status.
    pub status: u16,
    /// The time that it took.
    pub took: Duration,
    /// The kind of the audit row that was written for it.
    pub written: Option<Kind>,
    /// The reason of a refusal.
    pub refusal: Option<Refusal>,
}

impl Metrics {
    /// Takes the answer to a request.
    pub fn answered(&self, answered: Answered) {
        let Answered { route, status, took, written, refusal } = answered;
        self.requests.take(route, status, Some(took));
        if let Some(refusal) = refusal {
            self.refusals.add((route, refusal), 1);
        }
        let path = route.and_then(|number| ROUTES.get(number)).map(|route| route.path);
        if path.is_some_and(|path| SIGN_INS.contains(&path)) {
            // Without a row of its own, it is counted in one of refusals.
            self.sign_ins.add((written.or(refusal.map(|_| Kind::Refusals)), refusal), 1);
        }
    }

    /// Takes what the front itself refused.
    pub fn refused(&self, status: u16) {
        self.requests.take(None, status, None);
    }

    /// Takes a commit of `changes`.
    pub fn committed(&self, changes: &[Change], outcome: Outcome) {
        for ((known, _), count) in OUTCOMES.iter().zip(&self.commits) {
            if *known == outcome {
                count.add();
            }
        }
        for event in changes.iter().filter_map(event).filter(|_| outcome == Outcome::Applied) {
            self.events.add(event.kind, event.count);
        }
    }

    /// Adds the samples.
    pub fn add_to(&self, samples: &mut Samples) {
        self.requests.add_to(samples);
        for ((route, refusal), count) in self.refusals.read() {
            let path = route.and_then(|number| ROUTES.get(number)).map_or("", |route| route.path);
            let labels = vec![("route", path.into()), ("refusal", refusal.as_str().into())];
            samples.number(Family::Refusals, labels, count);
        }
        for ((kind, refusal), count) in self.sign_ins.read() {
            let labels = vec![
                ("outcome", kind.map_or("none", Kind::as_str).into()),
                ("refusal", refusal.map_or("", Refusal::as_str).into()),
            ];
            samples.number(Family::SignIns, labels, count);
        }
        for (kind, count) in self.events.read() {
            samples.number(Family::AuditEvents, vec![("kind", kind.as_str().into())], count);
        }
        samples.number(Family::GuessesLimited, Vec::new(), self.guesses_limited.get());
        for ((_, word), count) in OUTCOMES.iter().zip(&self.commits) {
            samples.number(Family::Commits, vec![("outcome", (*word).into())], count.get());
        }
    }
}

/// Returns the kind of the first audit row among `changes`.
pub fn first_event(changes: &[Change]) -> Option<Kind> {
    changes.iter().find_map(event).map(|event| event.kind)
}

/// Returns the audit row that a change writes.
fn event(change: &Change) -> Option<&Event> {
    if let Change::Audit(event) = change { Some(event) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatepass_core::base::time::Time;

    #[test]
    fn a_sign_in_is_counted_by_what_the_audit_log_says_of_it() {
        let metrics = Metrics::default();
        let number = |path| ROUTES.iter().position(|route| route.path == path);
        let signin = number("/auth/ticket/signin");
        let redeemed = [Change::Probe, Change::Audit(Event::new(Kind::TicketRedeemed, Time::from_unix(1)))];
        let written = first_event(&redeemed);
        assert_eq!(written, Some(Kind::TicketRedeemed));
        metrics.committed(&redeemed, Outcome::Applied);
        metrics.committed(&redeemed, Outcome::Conflict);
        let took = Duration::from_millis(1);
        let signed_in = Answered { route: signin, status: 200, took, written, refusal: None };
        let refusal = Some(Refusal::TicketUnknown);
        metrics.answered(signed_in);
        metrics.answered(Answered { status: 400, written: None, refusal, ..signed_in });
        metrics.answered(Answered { status: 503, written: None, ..signed_in });
        metrics.answered(Answered { route: number("/userinfo"), ..signed_in });
        metrics.refused(431);
        let mut samples = Samples::default();
        metrics.add_to(&mut samples);
        let text = samples.text().unwrap();
        for line in [
            r#"gatepass_sign_ins_total{outcome="ticket.redeemed",refusal=""} 1.0"#,
            r#"gatepass_sign_ins_total{outcome="refusals",refusal="ticket-unknown"} 1.0"#,
            r#"gatepass_sign_ins_total{outcome="none",refusal=""} 1.0"#,
            r#"gatepass_refusals_total{route="/auth/ticket/signin",refusal="ticket-unknown"} 1.0"#,
            r#"gatepass_audit_events_total{kind="ticket.redeemed"} 1.0"#,
            r#"gatepass_commits_total{outcome="applied"} 1.0"#,
            r#"gatepass_commits_total{outcome="conflict"} 1.0"#,
            r#"gatepass_commits_total{outcome="unknown"} 0.0"#,
            r#"gatepass_requests_total{method="",route="",status="431"} 1.0"#,
            "gatepass_guesses_limited_total 0.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert_eq!(text.matches("gatepass_sign_ins_total{").count(), 3, "{text}");
    }
}
