//! The distance of this machine's clock from the database's: several processes judge by their clocks what one of them has issued.

use std::sync::atomic::{AtomicBool, Ordering};

/// The most seconds between both clocks.
const MOST: u64 = 30;

/// The last comparison of both clocks: true if they were too far from each other.
#[derive(Debug, Default)]
pub(super) struct ClockDistance(AtomicBool);

impl ClockDistance {
    /// Compares both clocks, in seconds since 1970.
    pub(super) fn compare(&self, database: i64, machine: i64) {
        let is_far = database.abs_diff(machine) > MOST;
        if self.0.swap(is_far, Ordering::Relaxed) == is_far {
            return;
        }
        let ahead = machine.saturating_sub(database);
        if is_far {
            tracing::error!(
                ahead,
                "the clock of this machine is more than {MOST} s from the database's: this process is not ready until they agree"
            );
        } else {
            tracing::info!(ahead, "the clock of this machine agrees with the database's again");
        }
    }

    /// Returns true if both are too far from each other.
    pub(super) fn is_too_far(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_half_a_minute() {
        let clocks = ClockDistance::default();
        for (database, machine, is_too_far) in [
            (1000, 1000, false),
            (1000, 1030, false),
            (1000, 1031, true),
            (1000, 970, false),
            (1000, 969, true),
            (i64::MIN, i64::MAX, true),
            (1000, 1001, false),
        ] {
            clocks.compare(database, machine);
            assert_eq!(clocks.is_too_far(), is_too_far, "{database} {machine}");
        }
    }
}
