//! The clock of a process, whose mark is kept in the store.
//!
//! Where a database server keeps the records, its wall clock is the wall clock of all: a machine with a wrong clock judges nothing by it, and
//! moves the mark for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gatepass_core::base::time::Time;

use super::{ClockMark, ClockStore, StoreError};
use crate::clock::{ClockStatus, ServerClock, Timeline, wall};

/// The mark in the store moves only by at least this many seconds.
const WORTH_WRITING: u64 = 60;

/// The clock of a process. Reads the wall clock and the monotonic one, and keeps the mark in the store. The wall clock is that of the
/// database server, if there is one.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    line: Mutex<Line>,
    /// The number of times that the mark had been set when it was last taken over; readable without a lock.
    resets: AtomicU64,
}

#[derive(Debug)]
struct Line {
    timeline: Timeline,
    /// The stored mark, as last read or written.
    kept: ClockMark,
    /// The clock of the database server, as last read; none where there is no server.
    server: Option<ServerClock>,
}

/// Returns the time of the wall clock that counts.
fn wall_of(server: Option<ServerClock>) -> Time {
    server.map_or_else(wall, |server| server.now())
}

impl Line {
    /// Takes in both clocks.
    fn observe(&mut self, mono: Duration) -> ClockStatus {
        self.timeline.observe(wall_of(self.server), mono)
    }

    /// Returns the mark that the store should have.
    fn known(&self, status: &ClockStatus) -> ClockMark {
        let ClockMark { resets, ahead_since, .. } = self.kept;
        ClockMark {
            mark: status.mark,
            resets,
            jumped_at: self.timeline.jumped_at(),
            ahead_since: ahead_since.or(status.ahead.map(|_| status.mark)),
        }
    }
}

impl Clock {
    /// Begins from the mark in `store`, and moves it if it is well behind.
    ///
    /// # Errors
    /// [`StoreError`] if the mark cannot be read or written.
    pub fn start(store: &dyn ClockStore) -> Result<Self, StoreError> {
        let clock = Self::read(store)?;
        if clock.is_worth_writing() {
            clock.persist(store)?;
        }
        Ok(clock)
    }

    /// Begins from the mark in `store`, and leaves it where it is.
    ///
    /// # Errors
    /// [`StoreError`] if the mark cannot be read.
    pub fn read(store: &dyn ClockStore) -> Result<Self, StoreError> {
        let kept = store.clock_state()?;
        let server = store.server_clock();
        let began = Instant::now();
        let timeline = Timeline::start(kept.mark, kept.jumped_at, wall_of(server), Duration::ZERO);
        let line = Line { timeline, kept, server };
        Ok(Self { began, line: Mutex::new(line), resets: AtomicU64::new(kept.resets) })
    }

    /// Returns true if there is something to write: the mark would move by enough, or a jump has begun or ended.
    fn is_worth_writing(&self) -> bool {
        let status = self.status();
        let line = self.line();
        let (known, kept) = (line.known(&status), line.kept);
        kept.mark.until(known.mark) >= WORTH_WRITING
            || (known.jumped_at, known.ahead_since) != (kept.jumped_at, kept.ahead_since)
    }

    /// Does what [`persist`](Self::persist) does if it is worth it: a server without requests writes once a minute.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read or written; the clock continues all the same.
    pub fn keep(&self, store: &dyn ClockStore) -> Result<(), StoreError> {
        if self.is_worth_writing() {
            return self.persist(store);
        }
        self.read_again(store).map(drop)
    }

    /// Continues from the stored mark: a later one, or one that an administrator set. Returns true if it was set.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read; the clock continues all the same.
    pub fn read_again(&self, store: &dyn ClockStore) -> Result<bool, StoreError> {
        let kept = store.clock_state()?;
        Ok(self.take_over(store, kept))
    }

    /// Returns the time that counts.
    pub fn now(&self) -> Time {
        self.status().now
    }

    /// Returns the time that counts, and how far to trust the wall clock.
    pub fn status(&self) -> ClockStatus {
        self.line().observe(self.began.elapsed())
    }

    /// Returns the time before which rows must have ended to be swept; none while sweeping waits.
    pub fn sweeps_before(&self) -> Option<Time> {
        let mut line = self.line();
        let mono = self.began.elapsed();
        let status = line.observe(mono);
        line.timeline.sweeps_before(&status, mono)
    }

    /// Moves the mark in the store up to the trusted time, and takes over what other processes stored: a later mark, or
    /// one that an administrator set. Call it every minute or so.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written; the clock continues all the same.
    pub fn persist(&self, store: &dyn ClockStore) -> Result<(), StoreError> {
        let known = {
            let mut line = self.line();
            let status = line.observe(self.began.elapsed());
            line.known(&status)
        };
        let kept = store.raise_clock_mark(known)?;
        self.take_over(store, kept);
        Ok(())
    }

    fn take_over(&self, store: &dyn ClockStore, kept: ClockMark) -> bool {
        let mut line = self.line();
        line.server = store.server_clock();
        let mono = self.began.elapsed();
        let reset = kept.resets != line.kept.resets;
        if reset {
            let wall = wall_of(line.server);
            line.timeline.reset(kept.mark, kept.jumped_at, wall, mono);
        } else {
            line.timeline.raise(kept.mark, kept.jumped_at, mono);
        }
        line.kept = kept;
        // A thread that sees this number waits for the lock, and then has the new time.
        self.resets.store(kept.resets, Ordering::Release);
        reset
    }

    /// Returns the stored mark, as last read or written.
    pub fn kept(&self) -> ClockMark {
        self.line().kept
    }

    /// Returns the number of times that the mark in use has been set.
    pub fn resets(&self) -> u64 {
        self.resets.load(Ordering::Acquire)
    }

    /// Returns true if a jump was in use and is over, and what was issued during it was not checked yet.
    pub fn is_past_a_jump(&self) -> bool {
        let ahead = self.status().ahead;
        ahead.is_none() && self.line().kept.ahead_since.is_some()
    }

    /// Records that what was issued during a jump was checked.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_jump(&self, store: &dyn ClockStore) -> Result<(), StoreError> {
        if self.line().kept.ahead_since.is_some() {
            let kept = store.forget_clock_ahead()?;
            self.take_over(store, kept);
        }
        Ok(())
    }

    /// Returns true if own time has stepped back since the last call: what was issued before may be dated ahead.
    pub fn take_stepped_back(&self) -> bool {
        self.line().timeline.take_stepped_back()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
