//! What goes wrong in a world, and how often: no two worlds are alike, and some lack whole kinds of trouble.

use super::chance::Chance;
use super::{Event, World, note};

/// Once in how many; 0 is never.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) servers: usize,
    pub(super) lost: u64,
    pub(super) late: u64,
    pub(super) doubled: u64,
    pub(super) unknown: u64,
    pub(super) fsync_crash: u64,
    pub(super) unread: u64,
    pub(super) thieves: u64,
    /// Milliseconds between two of a kind, on average; 0 is never.
    crashes: u64,
    full: u64,
    slow: u64,
    jumps: u64,
    put_back: u64,
    /// Whether the disk is so now.
    pub(super) is_full: bool,
    pub(super) is_slow: bool,
}

/// Something that befalls the servers.
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

impl Weather {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        Self {
            servers: if chance.one_in(3) { 2 } else { 1 },
            lost: chance.pick(&[0, 60, 25, 8]),
            late: chance.pick(&[0, 40, 12]),
            doubled: chance.pick(&[0, 40, 10]),
            unknown: chance.pick(&[0, 100, 15]),
            fsync_crash: chance.pick(&[0, 0, 300, 100]),
            unread: chance.pick(&[0, 400, 60]),
            thieves: chance.pick(&[0, 20, 6]),
            crashes: chance.pick(&[0, 40_000, 10_000]),
            full: chance.pick(&[0, 60_000, 25_000]),
            slow: chance.pick(&[0, 60_000, 25_000]),
            jumps: chance.pick(&[0, 60_000, 15_000]),
            put_back: chance.pick(&[0, 0, 60_000, 20_000]),
            is_full: false,
            is_slow: false,
        }
    }
}

impl World {
    /// Has every kind of trouble befall for the first time.
    pub(super) fn forecast(&mut self) {
        for fault in [Fault::Crash, Fault::Full, Fault::Slow, Fault::Jump, Fault::PutBack] {
            self.again(fault);
        }
    }

    fn again(&mut self, fault: Fault) {
        let every = match fault {
            Fault::Crash => self.weather.crashes,
            Fault::Full => self.weather.full,
            Fault::Slow => self.weather.slow,
            Fault::Jump => self.weather.jumps,
            Fault::PutBack => self.weather.put_back,
            Fault::Room | Fault::Fast => return,
        };
        if every > 0 {
            self.later(1, 2 * every, Event::Fault(fault));
        }
    }

    pub(super) fn befall(&mut self, fault: Fault) {
        match fault {
            Fault::Crash => {
                let server = self.chance.below(self.servers.len() as u64) as usize;
                self.crash(server);
            }
            Fault::Full => {
                self.weather.is_full = true;
                self.later(500, 8_000, Event::Fault(Fault::Room));
                note!(self, "the disk is full");
            }
            Fault::Room => {
                self.weather.is_full = false;
                note!(self, "the disk has room again");
            }
            Fault::Slow => {
                self.weather.is_slow = true;
                self.later(1_000, 15_000, Event::Fault(Fault::Fast));
                note!(self, "the disk is slow");
            }
            Fault::Fast => {
                self.weather.is_slow = false;
                note!(self, "the disk is fast again");
            }
            Fault::Jump => {
                let by: i64 = self.chance.pick(&[3, 11, 31, 400, 4_000, -3, -11, -45, -400, -4_000]);
                self.wall.ahead += by * 1_000;
                let what = if by > 0 { "clock jumps forward" } else { "clock jumps back" };
                self.tally.met(what);
                note!(self, "the wall clock jumps by {by} s");
            }
            Fault::PutBack => {
                self.tables.state_epoch += self.chance.between(1, 1 << 40);
                self.ledger.supersede();
                self.tally.met("older state put back");
                note!(self, "older state is put back: the state epoch is {}", self.tables.state_epoch);
            }
        }
        self.again(fault);
    }
}
