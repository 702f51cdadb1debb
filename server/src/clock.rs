//! What time it is, where the wall clock cannot be trusted: on a box without a battery, after a reset, under a hand
//! that sets it back. Expired stays expired, and what should expire does.
//!
//! [`Timeline`] is the rule, and knows no clock; [`Clock`] reads the clocks and keeps the mark in the store.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gatepass_core::time::Time;

use crate::store::{ClockMark, Store, StoreError};

/// A jump of the wall clock further ahead than this, in seconds, is not believed at once.
pub const FAR_AHEAD: u64 = 86_400;
/// How long such a jump has to last until it is.
pub const BELIEVED_AFTER: Duration = Duration::from_secs(3600);
/// Differences up to this many seconds are not worth telling: a time server moves clocks by as much.
const NOT_WORTH_TELLING: u64 = 5;
/// The mark in the store is only moved where it would move by this many seconds.
const WORTH_WRITING: u64 = 60;

/// What the clock says, and how far to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStatus {
    /// The wall clock.
    pub wall: Time,
    /// The latest time that is trusted.
    pub mark: Time,
    /// The time that counts.
    pub now: Time,
    /// By how many seconds the wall clock is behind, where it is.
    pub behind: Option<u64>,
    /// By how many seconds the wall clock has jumped ahead, where that is not believed yet.
    pub ahead: Option<u64>,
}

/// The rule: time never stands behind the mark, goes on from it by the monotonic clock, and a far jump ahead is used
/// at once but moves the mark only when it has lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// A time that is trusted, and the monotonic clock's reading when it was now.
    anchor: (Time, Duration),
    /// Since when the wall clock is far ahead, and by how much then.
    jump: Option<(Duration, u64)>,
}

impl Timeline {
    /// Begins from the mark as kept. A wall clock ahead of it, however far, is believed: the machine was off.
    pub fn start(mark: Time, wall: Time, mono: Duration) -> Self {
        Self { anchor: (mark.max(wall), mono), jump: None }
    }

    /// Takes in both clocks.
    pub fn observe(&mut self, wall: Time, mono: Duration) -> ClockStatus {
        let (trusted, then) = self.anchor;
        let steady = trusted.plus(mono.saturating_sub(then).as_secs());
        let ahead = steady.until(wall);
        if ahead <= FAR_AHEAD {
            self.jump = None;
            if ahead > 0 {
                self.anchor = (wall, mono);
            }
            let now = steady.max(wall);
            let behind = Some(wall.until(steady)).filter(|&b| b > NOT_WORTH_TELLING);
            return ClockStatus { wall, mark: now, now, behind, ahead: None };
        }
        // A second jump on top of the first starts the wait again; so does one that falls back by far.
        let since = match self.jump {
            Some((since, first)) if ahead.abs_diff(first) <= FAR_AHEAD => since,
            _ => {
                self.jump = Some((mono, ahead));
                mono
            }
        };
        if mono.saturating_sub(since) >= BELIEVED_AFTER {
            *self = Self::start(wall, wall, mono);
            return ClockStatus { wall, mark: wall, now: wall, behind: None, ahead: None };
        }
        ClockStatus { wall, mark: steady, now: wall, behind: None, ahead: Some(ahead) }
    }

    /// A mark that another process has put further than this one's: time goes on from there.
    pub fn raise(&mut self, mark: Time, mono: Duration) {
        let (trusted, then) = self.anchor;
        if trusted.plus(mono.saturating_sub(then).as_secs()) < mark {
            self.anchor = (mark, mono);
        }
    }
}

/// The clock of a process. Reads the wall clock and the monotonic one, and keeps the mark in the store.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    timeline: Timeline,
    /// How often a person had set the mark when it was last read.
    resets: u64,
    /// The mark as it was last read or written.
    written: Time,
}

impl Clock {
    /// Begins from the mark in `store`, and moves it where it is well behind.
    ///
    /// # Errors
    /// [`StoreError`] where the mark cannot be read or written.
    pub fn start(store: &Store) -> Result<Self, StoreError> {
        let clock = Self::read(store)?;
        if clock.is_worth_writing() {
            clock.persist(store)?;
        }
        Ok(clock)
    }

    /// Begins from the mark in `store`, and leaves it where it is.
    ///
    /// # Errors
    /// [`StoreError`] where the mark cannot be read.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let ClockMark { mark, resets } = store.clock_state()?;
        let began = Instant::now();
        let timeline = Timeline::start(mark, wall(), Duration::ZERO);
        Ok(Self { began, line: Mutex::new(Line { timeline, resets, written: mark }) })
    }

    /// Returns true if the mark in the store would move by enough to be worth a write.
    fn is_worth_writing(&self) -> bool {
        let mark = self.status().mark;
        self.line().written.until(mark) >= WORTH_WRITING
    }

    /// As [`persist`](Self::persist), where the mark is well behind: a server that nobody asks writes once a minute.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read or written; the clock goes on all the same.
    pub fn keep(&self, store: &Store) -> Result<(), StoreError> {
        if self.is_worth_writing() {
            return self.persist(store);
        }
        self.take_over(store.clock_state()?);
        Ok(())
    }

    /// The time that counts.
    pub fn now(&self) -> Time {
        self.status().now
    }

    /// The time that counts, and how far to trust the wall clock.
    pub fn status(&self) -> ClockStatus {
        self.line().timeline.observe(wall(), self.began.elapsed())
    }

    /// Moves the mark in the store up to the time that is trusted, and takes over what other processes have put
    /// there: a later mark, or one that a person has set. To be called every minute or so.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be written; the clock goes on all the same.
    pub fn persist(&self, store: &Store) -> Result<(), StoreError> {
        let known = {
            let mut line = self.line();
            let mark = line.timeline.observe(wall(), self.began.elapsed()).mark;
            ClockMark { mark, resets: line.resets }
        };
        self.take_over(store.raise_clock_mark(known)?);
        Ok(())
    }

    fn take_over(&self, kept: ClockMark) {
        let mut line = self.line();
        let mono = self.began.elapsed();
        if kept.resets == line.resets {
            line.timeline.raise(kept.mark, mono);
            line.written = kept.mark;
        } else {
            let timeline = Timeline::start(kept.mark, wall(), mono);
            *line = Line { timeline, resets: kept.resets, written: kept.mark };
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the wall clock says; the epoch where it says something earlier.
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;
    const T: u64 = 1_800_000_000;

    /// One look at the clocks and what comes of it, seconds relative to [`T`].
    struct Look {
        mono: u64,
        wall: i64,
        now: i64,
        mark: i64,
        behind: Option<u64>,
        ahead: Option<u64>,
    }

    fn at(offset: i64) -> Time {
        Time::from_unix(T.saturating_add_signed(offset))
    }

    fn play(mark: i64, wall: i64, looks: &[Look]) {
        let mut line = Timeline::start(at(mark), at(wall), Duration::ZERO);
        for (i, look) in looks.iter().enumerate() {
            let status = line.observe(at(look.wall), Duration::from_secs(look.mono));
            let expected = ClockStatus {
                wall: at(look.wall),
                mark: at(look.mark),
                now: at(look.now),
                behind: look.behind,
                ahead: look.ahead,
            };
            assert_eq!(status, expected, "look {i}");
        }
    }

    const fn plain(mono: u64, wall: i64) -> Look {
        Look { mono, wall, now: wall, mark: wall, behind: None, ahead: None }
    }

    #[test]
    fn a_clock_that_runs_is_followed() {
        play(0, 0, &[plain(0, 0), plain(1, 1), plain(60, 60), plain(61, 90), plain(62, 91)]);
    }

    #[test]
    fn weeks_off_are_believed_at_a_start() {
        play(-40 * 86_400, 0, &[plain(0, 0), plain(1, 1)]);
    }

    #[test]
    fn a_wall_clock_behind_the_mark_does_not_count() {
        let ten_years = 3653 * DAY;
        let back = -i64::try_from(ten_years).unwrap();
        let look = |mono: u64| {
            let now = i64::try_from(mono).unwrap();
            Look { mono, wall: back + now, now, mark: now, behind: Some(ten_years), ahead: None }
        };
        // At the start, and set back while running.
        play(0, back, &[look(0), look(1), look(600), plain(601, 700)]);
        play(0, 0, &[plain(0, 0), look(1), look(600), plain(601, 700)]);
    }

    #[test]
    fn a_second_back_is_not_worth_telling_and_still_does_not_count() {
        play(
            0,
            0,
            &[
                plain(10, 10),
                Look { mono: 11, wall: 10, now: 11, mark: 11, behind: None, ahead: None },
                plain(12, 12),
            ],
        );
    }

    #[test]
    fn a_far_jump_is_used_at_once_and_believed_when_it_has_lasted() {
        let far = 30 * 86_400;
        let look = |mono: i64| Look {
            mono: mono.unsigned_abs(),
            wall: far + mono,
            now: far + mono,
            mark: mono,
            behind: None,
            ahead: Some(far.unsigned_abs()),
        };
        play(0, 0, &[plain(1, 1), look(2), look(100), look(3601), plain(3602, far + 3602)]);
        // It went back in time: as if nothing had been.
        play(0, 0, &[plain(1, 1), look(2), look(3601), plain(3602, 3602), look(3603), look(7000)]);
        // A second jump starts the wait again.
        let further = |mono: i64| Look {
            wall: 2 * far + mono,
            now: 2 * far + mono,
            ahead: Some(60 * DAY),
            ..look(mono)
        };
        play(0, 0, &[look(2), further(3000), look(3601), look(7200), plain(7201, far + 7201)]);
    }

    #[test]
    fn up_to_a_day_ahead_is_a_clock_being_set() {
        play(0, 0, &[plain(0, 86_400), plain(1, 86_401)]);
        play(
            0,
            0,
            &[Look { mono: 0, wall: 86_401, now: 86_401, mark: 0, behind: None, ahead: Some(86_401) }],
        );
    }

    #[test]
    fn the_later_mark_of_two_processes_counts() {
        let mut line = Timeline::start(at(0), at(0), Duration::ZERO);
        line.raise(at(500), Duration::from_secs(10));
        assert_eq!(line.observe(at(11), Duration::from_secs(11)).now, at(501));
        line.raise(at(100), Duration::from_secs(12));
        assert_eq!(line.observe(at(13), Duration::from_secs(13)).now, at(503));
    }
}
