//! The time, where the wall clock cannot be trusted: on a machine without a battery, after a reset, or set back by
//! hand. What has expired stays expired, and what should expire does.
//!
//! [`Timeline`] is the rule and reads no clock: it decides about two readings and a mark. [`crate::store::Clock`] reads
//! the clocks and keeps the mark.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gatepass_core::base::time::Time;

/// A wall clock further past the mark than this, in seconds, has jumped: the mark does not follow it at once.
pub const FAR_AHEAD: u64 = 3600;
/// The mark follows a jump that has lasted this long.
pub const BELIEVED_AFTER: Duration = Duration::from_secs(600);
/// Nothing is swept until this many seconds have passed without a jump or a reset.
pub const QUIET_BEFORE_SWEEPS: u64 = 3600;
/// The date of this release. A wall clock that shows an earlier time is not set: the machine has no battery, and no
/// time server has answered yet. Raise it with each release.
pub const RELEASED: Time = Time::from_unix(1_795_910_400); // 2026-11-29T00:00:00Z
/// The clock of a machine and that of the database server may differ by so many seconds.
pub(crate) const MOST_APART: u64 = 30;
/// Differences up to this many seconds are not reported: a time server moves clocks by as much.
const NOT_WORTH_TELLING: u64 = 60;

/// The readings of the clocks, and how far to trust the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStatus {
    /// The wall clock.
    pub wall: Time,
    /// The latest time that is trusted.
    pub mark: Time,
    /// The time that counts.
    pub now: Time,
    /// The seconds that the wall clock is behind, if it is.
    pub behind: Option<u64>,
    /// The seconds that the wall clock has jumped ahead of the mark, while the mark does not follow.
    pub ahead: Option<u64>,
    /// The time to write into tokens: the wall clock, or [`now`](Self::now) if the wall clock is not set.
    pub stamp: Time,
}

/// The rule. Time never stands behind the mark, and continues from it by the monotonic clock. A jump of the wall clock is used
/// at once, and moves the mark only when it has lasted; until then it is provisional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// A time that is trusted, and the monotonic clock's reading when it was now.
    anchor: (Time, Duration),
    /// The provisional jump: since when, and by how many seconds at first.
    jump: Option<(Duration, u64)>,
    /// The time, by own time, when a jump ended or an administrator set the mark. The store keeps it.
    jumped_at: Option<Time>,
    /// The same by the monotonic clock, if it was in this process.
    disturbed: Option<Duration>,
    /// The latest time that counted since own time last stepped back.
    latest: Time,
    /// True if own time stepped back since the last [`take_stepped_back`](Self::take_stepped_back).
    stepped_back: bool,
}

impl Timeline {
    /// Begins from the stored mark and the time of the last jump. Without a mark, it begins from the wall clock.
    pub fn start(mark: Time, jumped_at: Option<Time>, wall: Time, mono: Duration) -> Self {
        let trusted = if mark == Time::default() { wall } else { mark };
        Self {
            anchor: (trusted, mono),
            jump: None,
            jumped_at,
            disturbed: None,
            latest: Time::default(),
            stepped_back: false,
        }
    }

    /// Takes in both clocks.
    pub fn observe(&mut self, wall: Time, mono: Duration) -> ClockStatus {
        let steady = self.steady(mono);
        let ahead = steady.until(wall);
        if ahead <= FAR_AHEAD {
            if self.jump.take().is_some() {
                self.disturb(steady, mono);
            }
            if ahead > 0 {
                self.anchor = (wall, mono);
            }
            let behind = Some(wall.until(steady)).filter(|&b| b > NOT_WORTH_TELLING);
            let now = steady.max(wall);
            return self.status(wall, now, now, behind, None);
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
            self.jump = None;
            self.anchor = (wall, mono);
            self.disturb(wall, mono);
            return self.status(wall, wall, wall, None, None);
        }
        self.status(wall, steady, wall, None, Some(ahead))
    }

    /// Takes over a later mark of another process: time continues from there.
    pub fn raise(&mut self, mark: Time, jumped_at: Option<Time>, mono: Duration) {
        if self.steady(mono) < mark {
            self.anchor = (mark, mono);
        }
        self.jumped_at = self.jumped_at.max(jumped_at);
    }

    /// Begins anew from a mark that an administrator has set, forwards or back.
    pub fn reset(&mut self, mark: Time, jumped_at: Option<Time>, wall: Time, mono: Duration) {
        let latest = self.latest;
        let stepped_back = self.stepped_back;
        *self = Self {
            disturbed: Some(mono),
            latest,
            stepped_back,
            ..Self::start(mark, jumped_at.or(Some(mark)), wall, mono)
        };
    }

    /// Returns the time before which a row must have ended to be swept: by the wall clock and by own time. None while a jump
    /// is provisional, and until an hour has passed since the last jump or reset.
    pub fn sweeps_before(&self, status: &ClockStatus, mono: Duration) -> Option<Time> {
        let quiet = Duration::from_secs(QUIET_BEFORE_SWEEPS);
        let waits = status.ahead.is_some()
            || self.disturbed.is_some_and(|then| mono.saturating_sub(then) < quiet)
            || self.jumped_at.is_some_and(|at| at.until(status.mark) < QUIET_BEFORE_SWEEPS);
        (!waits).then(|| status.wall.min(status.mark))
    }

    /// Returns when a jump last ended, or the mark was set, by own time.
    pub const fn jumped_at(&self) -> Option<Time> {
        self.jumped_at
    }

    /// Returns true if own time has stepped back since the last call.
    pub fn take_stepped_back(&mut self) -> bool {
        std::mem::take(&mut self.stepped_back)
    }

    /// Returns the trusted time, carried on by the monotonic clock.
    fn steady(&self, mono: Duration) -> Time {
        let (trusted, then) = self.anchor;
        trusted.plus(mono.saturating_sub(then).as_secs())
    }

    fn disturb(&mut self, own: Time, mono: Duration) {
        self.jumped_at = Some(own);
        self.disturbed = Some(mono);
    }

    fn status(
        &mut self,
        wall: Time,
        mark: Time,
        now: Time,
        behind: Option<u64>,
        ahead: Option<u64>,
    ) -> ClockStatus {
        // What was issued before may be dated ahead.
        if self.latest.is_ahead_of(now) {
            self.stepped_back = true;
            self.latest = now;
        }
        self.latest = self.latest.max(now);
        let stamp = if wall < RELEASED { now } else { wall };
        ClockStatus { wall, mark, now, behind, ahead, stamp }
    }
}

/// The wall clock of the database server, as it was once read. From there it goes on by this machine's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerClock {
    /// The time since 1970.
    read: Duration,
    read_at: Instant,
}

impl ServerClock {
    /// Makes the clock of a server that has just said that it is so long after 1970.
    pub fn read(since_1970: Duration) -> Self {
        Self { read: since_1970, read_at: Instant::now() }
    }

    /// Returns the time that the server's clock shows now.
    pub fn now(&self) -> Time {
        Time::from_unix(self.read.saturating_add(self.read_at.elapsed()).as_secs())
    }
}

/// Returns the wall clock's time, or the epoch if the clock shows an earlier time.
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
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

    const fn secs(mono: u64) -> Duration {
        Duration::from_secs(mono)
    }

    fn play(mark: i64, wall: i64, looks: &[Look]) -> Timeline {
        let mut line = Timeline::start(at(mark), None, at(wall), Duration::ZERO);
        for (i, look) in looks.iter().enumerate() {
            let status = line.observe(at(look.wall), secs(look.mono));
            let (wall, now) = (at(look.wall), at(look.now));
            let expected = ClockStatus {
                wall,
                mark: at(look.mark),
                now,
                behind: look.behind,
                ahead: look.ahead,
                stamp: if wall < RELEASED { now } else { wall },
            };
            assert_eq!(status, expected, "look {i}");
        }
        line
    }

    const fn plain(mono: u64, wall: i64) -> Look {
        Look { mono, wall, now: wall, mark: wall, behind: None, ahead: None }
    }

    /// A look at a wall clock that is `ahead` of a mark that was [`T`] at the monotonic clock's zero.
    fn provisional(mono: u64, ahead: i64) -> Look {
        let mark = i64::try_from(mono).unwrap();
        let wall = mark + ahead;
        Look { mono, wall, now: wall, mark, behind: None, ahead: Some(ahead.unsigned_abs()) }
    }

    #[test]
    fn a_clock_that_runs_is_followed() {
        play(0, 0, &[plain(0, 0), plain(1, 1), plain(60, 60), plain(61, 90), plain(62, 91)]);
    }

    #[test]
    fn up_to_an_hour_ahead_is_a_clock_being_set() {
        play(0, HOUR, &[plain(0, HOUR), plain(1, HOUR + 1)]);
        play(0, 0, &[plain(0, 0), plain(1, HOUR + 1), plain(2, 2 * HOUR + 2)]);
    }

    #[test]
    fn a_jump_at_a_start_is_used_and_moves_the_mark_when_it_has_lasted() {
        for ahead in [HOUR + 1, 8 * HOUR, 40 * 365 * 24 * HOUR] {
            let look = |mono| provisional(mono, ahead);
            play(0, ahead, &[look(0), look(1), look(300), look(599), plain(600, ahead + 600)]);
        }
    }

    #[test]
    fn a_jump_while_running_is_the_same() {
        let look = |mono| provisional(mono, 8 * HOUR);
        play(0, 0, &[plain(0, 0), look(2), look(601), plain(602, 8 * HOUR + 602)]);
        // The clock was not read while it lasted: the first reading begins the wait.
        play(0, 0, &[plain(0, 0), look(5000), look(5599), plain(5600, 8 * HOUR + 5600)]);
    }

    #[test]
    fn a_jump_that_is_taken_back_leaves_no_trace_on_the_mark() {
        let look = |mono| provisional(mono, 8 * HOUR);
        play(0, 0, &[look(2), look(601), plain(602, 602), look(603), look(1202), plain(1204, 1204)]);
    }

    #[test]
    fn another_jump_starts_the_wait_again() {
        let (first, second) = (|mono| provisional(mono, 8 * HOUR), |mono| provisional(mono, 16 * HOUR));
        play(
            0,
            0,
            &[first(0), second(500), second(1099), first(1100), first(1699), plain(1700, 8 * HOUR + 1700)],
        );
        // A time server that corrects it by a little does not.
        play(0, 0, &[first(0), provisional(300, 9 * HOUR), plain(600, 8 * HOUR + 600)]);
    }

    #[test]
    fn the_first_start_has_nothing_but_the_wall_clock() {
        let mut line = Timeline::start(Time::default(), None, at(0), Duration::ZERO);
        let status = line.observe(at(0), Duration::ZERO);
        assert_eq!((status.now, status.mark, status.ahead), (at(0), at(0), None));
        assert_eq!(line.sweeps_before(&status, Duration::ZERO), Some(at(0)));
    }

    #[test]
    fn a_wall_clock_behind_the_mark_does_not_count() {
        let ten_years = 3653 * 86_400;
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
    fn other_people_get_the_wall_clock_unless_it_is_none() {
        for (wall, stamp) in [
            (at(0), at(0)),
            (at(-8 * HOUR), at(-8 * HOUR)),
            (at(8 * HOUR), at(8 * HOUR)),
            (RELEASED, RELEASED),
            (Time::from_unix(RELEASED.unix() - 1), at(0)),
            (Time::default(), at(0)),
        ] {
            let status = Timeline::start(at(0), None, wall, Duration::ZERO).observe(wall, Duration::ZERO);
            assert_eq!(status.stamp, stamp, "{wall}");
        }
        assert_eq!(RELEASED.rfc3339(), "2026-11-29T00:00:00Z");
    }

    #[test]
    fn the_later_mark_of_two_processes_counts() {
        let mut line = Timeline::start(at(0), None, at(0), Duration::ZERO);
        line.raise(at(500), None, secs(10));
        assert_eq!(line.observe(at(11), secs(11)).now, at(501));
        line.raise(at(100), Some(at(90)), secs(12));
        assert_eq!(line.observe(at(13), secs(13)).now, at(503));
        assert_eq!(line.jumped_at(), Some(at(90)));
    }

    #[test]
    fn a_jump_that_another_process_saw_last_is_not_waited_for_again() {
        let mut line = play(0, 0, &[plain(0, 0), provisional(10, 8 * HOUR)]);
        line.raise(at(8 * HOUR + 20), Some(at(8 * HOUR + 20)), secs(20));
        let status = line.observe(at(8 * HOUR + 20), secs(20));
        assert_eq!((status.ahead, status.mark), (None, at(8 * HOUR + 20)));
        assert_eq!(line.sweeps_before(&status, secs(20)), None);
        assert!(!line.take_stepped_back());
    }

    /// Returns what may be swept, relative to [`T`], when the clocks read so.
    fn sweeps(line: &mut Timeline, wall: i64, mono: u64) -> Option<i64> {
        let status = line.observe(at(wall), secs(mono));
        let before = line.sweeps_before(&status, secs(mono))?;
        Some(i64::try_from(before.unix()).unwrap() - i64::try_from(T).unwrap())
    }

    #[test]
    fn nothing_is_swept_until_an_hour_after_a_jump_was_believed() {
        let (far, mut line) = (8 * HOUR, play(0, 0, &[plain(0, 0)]));
        assert_eq!(sweeps(&mut line, 1, 1), Some(1));
        assert_eq!(sweeps(&mut line, far + 2, 2), None, "provisional");
        assert_eq!(sweeps(&mut line, far + 601, 601), None, "still provisional");
        assert_eq!(sweeps(&mut line, far + 602, 602), None, "believed just now");
        assert_eq!(line.jumped_at(), Some(at(far + 602)));
        assert_eq!(sweeps(&mut line, far + 602 + 3599, 602 + 3599), None);
        assert_eq!(sweeps(&mut line, far + 602 + 3600, 602 + 3600), Some(far + 602 + 3600));
    }

    #[test]
    fn nor_until_an_hour_after_one_was_taken_back() {
        let (far, mut line) = (8 * HOUR, play(0, 0, &[plain(0, 0)]));
        assert_eq!(sweeps(&mut line, far + 2, 2), None);
        assert_eq!(sweeps(&mut line, 100, 100), None);
        assert_eq!(line.jumped_at(), Some(at(100)));
        // A clock that is set on by less than an hour does not shorten the wait.
        assert_eq!(sweeps(&mut line, 3600, 200), None);
        assert_eq!(sweeps(&mut line, 7100, 3699), None);
        assert_eq!(sweeps(&mut line, 7101, 3700), Some(7101));
    }

    #[test]
    fn a_start_goes_on_waiting() {
        let start = |jumped: i64| Timeline::start(at(0), Some(at(jumped)), at(0), Duration::ZERO);
        assert_eq!(sweeps(&mut start(-3600), 0, 0), Some(0));
        assert_eq!(sweeps(&mut start(-3599), 0, 0), None);
        assert_eq!(sweeps(&mut start(-3599), 1, 1), Some(1));
        assert_eq!(sweeps(&mut start(10), 3609, 3609), None);
        assert_eq!(sweeps(&mut start(10), 3610, 3610), Some(3610));
    }

    #[test]
    fn what_is_swept_is_past_by_both_clocks() {
        let mut line = play(0, 0, &[plain(0, 0)]);
        assert_eq!(sweeps(&mut line, -HOUR, 10), Some(-HOUR), "the wall clock is behind");
        let mut line = play(0, 0, &[plain(0, 0)]);
        assert_eq!(sweeps(&mut line, HOUR, 10), Some(HOUR), "the wall clock was set on");
    }

    #[test]
    fn a_reset_holds_at_once_and_sweeps_wait_for_an_hour() {
        let mut line = play(0, 0, &[plain(0, 0)]);
        line.reset(at(-24 * HOUR), Some(at(-24 * HOUR)), at(-24 * HOUR), secs(10));
        let status = line.observe(at(-24 * HOUR), secs(10));
        assert_eq!((status.now, status.mark, status.behind), (at(-24 * HOUR), at(-24 * HOUR), None));
        assert!(line.take_stepped_back());
        assert!(!line.take_stepped_back());
        assert_eq!(sweeps(&mut line, -24 * HOUR + 3599, 3609), None);
        assert_eq!(sweeps(&mut line, -24 * HOUR + 3600, 3610), Some(-24 * HOUR + 3600));
    }

    #[test]
    fn own_time_that_falls_back_is_noticed() {
        for (walls, expected, what) in [
            (&[0, 1, 2, 3][..], false, "it runs"),
            (&[0, -8 * HOUR, -8 * HOUR][..], false, "the wall clock is behind and does not count"),
            (&[0, 8 * HOUR, 8 * HOUR][..], false, "a jump"),
            (&[0, 8 * HOUR, 2][..], true, "a jump that is taken back"),
            (&[0, 8 * HOUR, 4 * HOUR][..], true, "a jump that falls back by far"),
            (&[0, 8 * HOUR, 8 * HOUR - 100][..], true, "a jump that falls back by a little"),
            (&[0, 8 * HOUR, 8 * HOUR - 50][..], false, "by less than the core takes"),
            (&[0, 8 * HOUR, 8 * HOUR - 50, 8 * HOUR - 90][..], true, "bit by bit"),
        ] {
            let mut line = Timeline::start(at(0), None, at(0), Duration::ZERO);
            for (mono, wall) in (0..).zip(walls) {
                line.observe(at(*wall), secs(mono));
            }
            assert_eq!(line.take_stepped_back(), expected, "{what}");
        }
    }
}
