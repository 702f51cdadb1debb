//! The clocks of a world: one wall clock that jumps, and in each server a time that never goes back while it runs
//! (`server/src/clock.rs`, without far jumps ahead). All in milliseconds.

use gatepass_core::base::time::Time;

use crate::fixtures::NOON;

/// The machine's clock, and the mark that servers keep in the store.
#[derive(Default)]
pub(super) struct Wall {
    pub(super) ahead: i64,
    mark: u64,
}

impl Wall {
    fn reads(&self, at: u64) -> u64 {
        (NOON.unix() * 1_000 + at).saturating_add_signed(self.ahead)
    }
}

/// The time of one server: it never goes back, and follows the monotonic clock.
pub(super) struct Clock {
    trusted: u64,
    then: u64,
}

impl Clock {
    /// Starts at `at` from the mark. Returns true if the wall clock was behind it.
    pub(super) fn start(wall: &Wall, at: u64) -> (Self, bool) {
        let reads = wall.reads(at);
        (Self { trusted: wall.mark.max(reads), then: at }, reads < wall.mark)
    }

    pub(super) fn now(&mut self, wall: &Wall, at: u64) -> Time {
        Time::from_unix(self.observe(wall, at) / 1_000)
    }

    fn observe(&mut self, wall: &Wall, at: u64) -> u64 {
        self.trusted = (self.trusted + at - self.then).max(wall.reads(at));
        self.then = at;
        self.trusted
    }

    /// Raises the mark to this time, or this time to the mark.
    pub(super) fn persist(&mut self, wall: &mut Wall, at: u64) {
        let now = self.observe(wall, at);
        wall.mark = wall.mark.max(now);
        self.trusted = wall.mark;
    }
}
