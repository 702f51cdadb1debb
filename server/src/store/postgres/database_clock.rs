//! The database's clock, as it is read with the mark. It is the wall clock of every process, so that several of them judge by one time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gatepass_core::base::time::Time;

use crate::clock::{MOST_APART, ServerClock, wall};

/// The database's clock, and its distance from this machine's.
#[derive(Debug, Default)]
pub(super) struct DatabaseClock {
    last: ArcSwapOption<ServerClock>,
    /// True if both were too far from each other: one of them is wrong.
    is_far: AtomicBool,
}

impl DatabaseClock {
    /// Takes what the database has just said, in milliseconds since 1970.
    pub(super) fn read(&self, milliseconds: u64) {
        let read = Duration::from_millis(milliseconds);
        self.last.store(Some(ServerClock::read(read).into()));
        self.compare(Time::from_unix(read.as_secs()), wall());
    }

    /// Returns the clock as it was last read.
    pub(super) fn last(&self) -> Option<ServerClock> {
        self.last.load().as_deref().copied()
    }

    /// Compares both clocks.
    fn compare(&self, database: Time, machine: Time) {
        let is_far = database.unix().abs_diff(machine.unix()) > MOST_APART;
        if self.is_far.swap(is_far, Ordering::Relaxed) == is_far {
            return;
        }
        if is_far {
            tracing::error!(
                %machine,
                %database,
                "the clock of this machine is more than {MOST_APART} s from the database's: this process is not ready, and deletes nothing, \
                 until they agree"
            );
        } else {
            tracing::info!(%machine, %database, "the clock of this machine agrees with the database's again");
        }
    }

    /// Returns true if both are too far from each other.
    pub(super) fn is_too_far(&self) -> bool {
        self.is_far.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_half_a_minute() {
        let clock = DatabaseClock::default();
        for (database, machine, is_too_far) in [
            (1000, 1000, false),
            (1000, 1030, false),
            (1000, 1031, true),
            (1000, 970, false),
            (1000, 969, true),
            (0, u64::MAX, true),
            (1000, 1001, false),
        ] {
            clock.compare(Time::from_unix(database), Time::from_unix(machine));
            assert_eq!(clock.is_too_far(), is_too_far, "{database} {machine}");
        }
    }
}
