//! A limit on log lines: each place in the code appears a few times a minute, and one line says how many more there
//! were. So nobody fills the log with requests that fail.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The lines of one kind that appear in one minute.
const LINES: u32 = 5;
/// The time in which they are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// The most characters of a message that are kept to say what was left out.
const LONGEST: usize = 160;
/// The target of lines about left-out lines. They have no limit: there is one of each kind in a minute.
const TARGET: &str = "gatepass::left_out";

/// The lines of every kind that were counted. There are as many kinds as places in the code that log.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<HashMap<Identifier, Kind>>);

#[derive(Debug)]
struct Kind {
    began: Instant,
    shown: u32,
    left_out: u64,
    level: Level,
    message: String,
}

/// Lines of one kind that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) count: u64,
}

impl Limit {
    /// Counts a line of a kind at `now`; true if it is to appear.
    fn count(&self, kind: Identifier, level: Level, now: Instant, message: impl FnOnce() -> String) -> bool {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(kind).or_insert_with(|| Kind {
            began: now,
            shown: 0,
            left_out: 0,
            level,
            message: String::new(),
        });
        // One that has left something out is kept until that is logged.
        if kind.left_out == 0 && now.saturating_duration_since(kind.began) >= MINUTE {
            (kind.began, kind.shown) = (now, 0);
        }
        if kind.shown < LINES {
            kind.shown += 1;
            return true;
        }
        if kind.left_out == 0 {
            kind.message = message();
        }
        kind.left_out = kind.left_out.saturating_add(1);
        false
    }

    /// Returns what was left out of the minutes that are over at `now`, or of `all`, once each.
    pub(super) fn left_out(&self, now: Instant, all: bool) -> Vec<LeftOut> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |kind: &&mut Kind| {
            kind.left_out > 0 && (all || now.saturating_duration_since(kind.began) >= MINUTE)
        };
        let take = |kind: &mut Kind| {
            (kind.began, kind.shown) = (now, 0);
            let message = std::mem::take(&mut kind.message);
            LeftOut { level: kind.level, message, count: std::mem::take(&mut kind.left_out) }
        };
        kinds.values_mut().filter(over).map(take).collect()
    }
}

impl LeftOut {
    /// Logs the line.
    pub(super) fn log(self) {
        let Self { level, message, count } = self;
        if level == Level::ERROR {
            tracing::error!(target: TARGET, count, message, "more lines like this were left out");
        } else if level == Level::WARN {
            tracing::warn!(target: TARGET, count, message, "more lines like this were left out");
        } else {
            tracing::info!(target: TARGET, count, message, "more lines like this were left out");
        }
    }
}

impl<S: Subscriber> Layer<S> for &'static Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let about = event.metadata();
        // At a level below the usual ones, every line is written.
        if *about.level() > Level::INFO || about.target() == TARGET {
            return true;
        }
        let message = || {
            let mut message = Message::default();
            event.record(&mut message);
            message.0
        };
        self.count(about.callsite(), *about.level(), Instant::now(), message)
    }
}

/// The message of an event, which is fixed for its kind.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}").chars().take(LONGEST).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tracing_subscriber::layer::SubscriberExt;

    /// A layer that drops lines beyond the limit.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut message = Message::default();
            event.record(&mut message);
            self.0.lock().unwrap().push(message.0);
        }
    }

    #[test]
    fn each_kind_of_line_appears_a_few_times_a_minute_and_the_rest_is_counted() {
        let limit: &'static Limit = Box::leak(Box::default());
        let seen = Seen::default();
        let subscriber = tracing_subscriber::registry().with(limit).with(seen.clone());
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..1_000 {
                tracing::error!(number, "it cannot be written");
                tracing::debug!(number, "answered");
            }
            tracing::error!("another place");
        });
        let times = |text: &str| seen.0.lock().unwrap().iter().filter(|line| *line == text).count();
        assert_eq!(times("it cannot be written"), 5);
        assert_eq!((times("answered"), times("another place")), (1_000, 1));
        let now = Instant::now();
        assert_eq!(limit.left_out(now, false), [], "the minute is not over");
        let message = "it cannot be written".to_owned();
        let line = LeftOut { level: Level::ERROR, message, count: 995 };
        assert_eq!(limit.left_out(now + MINUTE, false), [line]);
        assert_eq!(limit.left_out(now + MINUTE, true), [], "logged once");
    }

    #[test]
    fn a_new_minute_shows_lines_again() {
        fn line() -> Identifier {
            static CALLSITE: tracing::callsite::DefaultCallsite = {
                static META: tracing::Metadata<'static> = tracing::metadata! {
                    name: "line", target: "t", level: Level::WARN, fields: &[], callsite: &CALLSITE,
                    kind: tracing::metadata::Kind::EVENT
                };
                tracing::callsite::DefaultCallsite::new(&META)
            };
            Identifier(&CALLSITE)
        }
        let (limit, now) = (Limit::default(), Instant::now());
        let count = |at| limit.count(line(), Level::WARN, at, String::new);
        assert_eq!((0..7).filter(|_| count(now)).count(), 5);
        assert!(!count(now + MINUTE), "until what was left out is logged");
        assert_eq!(limit.left_out(now + MINUTE, false)[0].count, 3);
        assert!(count(now + MINUTE));
        assert!((0..4).all(|_| count(now + MINUTE * 2)), "a minute later");
    }
}
