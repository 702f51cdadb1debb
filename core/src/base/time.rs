//! Seconds since 1970-01-01T00:00:00Z, and their RFC 3339 text.

use alloc::string::String;
use core::fmt;

/// A point in time, in whole seconds since the Unix epoch. Arithmetic saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

/// 9999-12-31T23:59:59Z, the last second RFC 3339 can name.
const LAST: u64 = 253_402_300_799;

/// The difference between two clocks that does not matter, in seconds.
pub const LEEWAY: u64 = 60;

/// The time of one moment, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Our own time, which never goes back: it decides what has expired.
    pub now: Time,
    /// The wall clock's time, which other people's clocks agree with: it is written into tokens, and codes are made by it.
    pub wall: Time,
}

impl Clocks {
    /// Returns true if the two differ by more than [`LEEWAY`].
    pub const fn differ(self) -> bool {
        self.now.is_ahead_of(self.wall) || self.wall.is_ahead_of(self.now)
    }

    /// Returns `time`, a time of our own, as the wall clock tells it.
    pub const fn on_the_wall(self, time: Time) -> Time {
        let ahead = time.plus(self.now.until(self.wall)).unix();
        Time::from_unix(ahead.saturating_sub(self.wall.until(self.now)))
    }
}

impl Time {
    /// The second `seconds` after the epoch, at most the last of the year 9999.
    pub const fn from_unix(seconds: u64) -> Self {
        Self(if seconds > LAST { LAST } else { seconds })
    }

    /// Seconds since the epoch.
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// This time and `seconds` more.
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// Seconds from `self` until `later`; 0 where `later` is not later.
    pub const fn until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0)
    }

    /// Returns true if this time is more than [`LEEWAY`] seconds in the future of `now`. What is dated so was written by a clock that was ahead, and
    /// is not accepted.
    pub const fn is_ahead_of(self, now: Self) -> bool {
        now.until(self) > LEEWAY
    }

    /// Reads RFC 3339 §5.6, to the second, from 1970 on.
    pub fn of_rfc3339(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let is = |at: usize, what: &[u8]| text.as_bytes().get(at).is_some_and(|byte| what.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let length = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        if year < 1970 || !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let zone = text.get(19..)?;
        let zone = match zone.strip_prefix('.') {
            Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => zone,
        };
        // How far the zone is ahead of UTC: east, then west, in seconds.
        let (east, west) = match zone.as_bytes() {
            [b'Z' | b'z'] => (0, 0),
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let at = text.len().checked_sub(5)?;
                let ahead = number(at, at + 2)? * 3600 + number(at + 3, at + 5)? * 60;
                if *sign == b'+' { (ahead, 0) } else { (0, ahead) }
            }
            _ => return None,
        };
        // Howard Hinnant's `days_from_civil`, with the year beginning in March.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let era = y / 400;
        let year_of_era = y % 400;
        let day_of_year = (153 * m + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
        let local = days * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Self::from_unix((local + west).saturating_sub(east)))
    }

    /// `YYYY-MM-DDThh:mm:ssZ` (RFC 3339 §5.6).
    pub fn rfc3339(self) -> String {
        alloc::format!("{self}")
    }
}

/// The time when something was made, as the first bytes of a name, so that new rows share index pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([u8; Self::BYTES]);

impl Stamp {
    /// The number of its bytes.
    pub(crate) const BYTES: usize = 6;

    /// The last 32 bits of the second, which rise until 2106, and `fraction` 65 536ths of a second more.
    pub(crate) const fn new(second: Time, fraction: u16) -> Self {
        let [_, _, _, _, a, b, c, d] = second.0.to_be_bytes();
        let [e, f] = fraction.to_be_bytes();
        Self([a, b, c, d, e, f])
    }

    /// The one that `bytes` begin with.
    pub(crate) fn first_of(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied().map(Self)
    }

    /// Itself, and as much of `rest` as has room.
    pub(crate) fn before<const N: usize>(self, rest: &[u8]) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.iter_mut().zip(self.0.iter().chain(rest)).for_each(|(byte, part)| *byte = *part);
        bytes
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // Howard Hinnant's `civil_from_days`, for days since the epoch only (never negative).
        let z = days + 719_468;
        let era = z / 146_097;
        let day_of_era = z % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_read() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2100-03-01t00:00:00.5z", Some(4_107_542_400)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("1970-01-01T02:00:00+02:00", Some(0)),
            ("1969-12-31T22:00:00-02:00", None),
            ("1970-01-01T00:00:00-02:00", Some(7200)),
            ("1970-01-01 00:00:00Z", Some(0)),
            ("2023-02-29T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("2023-00-01T00:00:00Z", None),
            ("2023-01-00T00:00:00Z", None),
            ("2023-01-01T24:00:00Z", None),
            ("2023-01-01T00:00:00", None),
            ("2023-01-01", None),
            ("2023-01-01T00:00:00+2", None),
            ("é023-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(Time::of_rfc3339(text), unix.map(Time::from_unix), "{text}");
        }
    }

    #[test]
    fn rfc3339_of_known_seconds() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Time::from_unix(unix).rfc3339(), text);
        }
    }

    #[test]
    fn a_minute_ahead_is_not_ahead() {
        for (now, time, ahead) in [(100, 160, false), (100, 161, true), (100, 99, false), (0, LAST, true)] {
            assert_eq!(Time::from_unix(time).is_ahead_of(Time::from_unix(now)), ahead, "{now} {time}");
        }
    }

    #[test]
    fn a_time_of_our_own_is_converted_to_the_wall_clock() {
        for (now, wall, time, on_wall, differ) in [
            (100, 100, 130, 130, false),
            (100, 160, 130, 190, false),
            (100, 161, 130, 191, true),
            (1_000, 200, 1_030, 230, true),
            (1_000, 200, 900, 100, true),
            // Before the epoch.
            (1_000, 200, 700, 0, true),
            (LAST, 0, LAST, 0, true),
            (0, LAST, LAST, LAST, true),
        ] {
            let clocks = Clocks { now: Time::from_unix(now), wall: Time::from_unix(wall) };
            assert_eq!(
                clocks.on_the_wall(Time::from_unix(time)),
                Time::from_unix(on_wall),
                "{now} {wall} {time}"
            );
            assert_eq!(clocks.differ(), differ, "{now} {wall}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::from_unix(LAST).plus(u64::MAX), Time::from_unix(LAST));
        assert_eq!(Time::from_unix(9).until(Time::from_unix(4)), 0);
        assert_eq!(Time::from_unix(4).until(Time::from_unix(9)), 5);
    }
}
