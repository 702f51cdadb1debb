//! The faults of a world and their rates: worlds differ, and some lack whole kinds of faults.

use super::{Event, World, note};
use crate::rng::Rng;

/// Rates: once in so many; 0 is never.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) servers: usize,
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) doubled: u64,
    pub(super) unknown: u64,
    pub(super) fsync_crash: u64,
    pub(super) unread: u64,
    pub(super) thieves: u64,
    /// Average milliseconds between two faults of a kind; 0 is never.
    crashes: u64,
    full: u64,
    slow: u64,
    jumps: u64,
    put_back: u64,
    /// True while the disk is full.
    pub(super) is_full: bool,
    pub(super) is_slow: bool,
}

/// A fault of the servers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Crash,
    Full,
    Room,
    Slow,
    Fast,
    Jump,
    /// Older state is put back, which raises the state epoch.
    PutBack,
}

impl Faults {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        Self {
            servers: if rng.one_in(3) { 2 } else { 1 },
            lost: rng.pick(&[0, 60, 25, 8]),
            late: rng.pick(&[0, 40, 12]),
            doubled: rng.pick(&[0, 40, 10]),
            unknown: rng.pick(&[0, 100, 15]),
            fsync_crash: rng.pick(&[0, 0, 300, 100]),
            unread: rng.pick(&[0, 400, 60]),
            thieves: rng.pick(&[0, 20, 6]),
            crashes: rng.pick(&[0, 40_000, 10_000]),
            full: rng.pick(&[0, 60_000, 25_000]),
            slow: rng.pick(&[0, 60_000, 25_000]),
            jumps: rng.pick(&[0, 60_000, 15_000]),
            put_back: rng.pick(&[0, 0, 60_000, 20_000]),
            is_full: false,
            is_slow: false,
        }
    }
}

impl World {
    /// Schedules the first fault of every kind.
    pub(super) fn schedule_faults(&mut self) {
        for fault in [Fault::Crash, Fault::Full, Fault::Slow, Fault::Jump, Fault::PutBack] {
            self.schedule_fault(fault);
        }
    }

    fn schedule_fault(&mut self, fault: Fault) {
        let every = match fault {
            Fault::Crash => self.faults.crashes,
            Fault::Full => self.faults.full,
            Fault::Slow => self.faults.slow,
            Fault::Jump => self.faults.jumps,
            Fault::PutBack => self.faults.put_back,
            Fault::Room | Fault::Fast => return,
        };
        if every > 0 {
            self.later(1, 2 * every, Event::Fault(fault));
        }
    }

    pub(super) fn apply_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Crash => {
                let server = self.rng.below(self.servers.len() as u64) as usize;
                self.crash(server);
            }
            Fault::Full => {
                self.faults.is_full = true;
                self.later(500, 8_000, Event::Fault(Fault::Room));
                note!(self, "the disk is full");
            }
            Fault::Room => {
                self.faults.is_full = false;
                note!(self, "the disk has room again");
            }
            Fault::Slow => {
                self.faults.is_slow = true;
                self.later(1_000, 15_000, Event::Fault(Fault::Fast));
                note!(self, "the disk is slow");
            }
            Fault::Fast => {
                self.faults.is_slow = false;
                note!(self, "the disk is fast again");
            }
            Fault::Jump => {
                let by: i64 = self.rng.pick(&[3, 11, 31, 400, 4_000, -3, -11, -45, -400, -4_000]);
                self.wall.ahead += by * 1_000;
                let what = if by > 0 { "clock jumps forward" } else { "clock jumps back" };
                self.coverage.count(what);
                note!(self, "the wall clock jumps by {by} s");
            }
            Fault::PutBack => {
                self.tables.state_epoch += self.rng.between(1, 1 << 40);
                self.oracle.supersede();
                self.coverage.count("older state put back");
                note!(self, "older state is put back: the state epoch is {}", self.tables.state_epoch);
            }
        }
        self.schedule_fault(fault);
    }
}
