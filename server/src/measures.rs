//! Measures that any thread may read at any time: numbers, and distributions of them. They are atomic counters, so that taking one
//! costs a request some nanoseconds and nobody waits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The most parts that a distribution has, the one without a bound included.
const PARTS: usize = 16;

/// Bounds of times, in microseconds: from a cached answer to the longest wait for a slow disk.
pub const TIMES: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];
/// Bounds of numbers of things.
pub const NUMBERS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Level(AtomicUsize);

impl Level {
    /// Adds one.
    pub fn rise(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Takes one away.
    pub fn fall(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// Sets the number.
    pub fn set(&self, level: usize) {
        self.0.store(level, Relaxed);
    }

    /// Returns the number. A thread that takes one away may be seen before the one that has added it: then it is 0.
    pub fn get(&self) -> usize {
        let level = self.0.load(Relaxed);
        if level > usize::MAX / 2 { 0 } else { level }
    }
}

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Returns the number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A distribution of values: how many were within each bound, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    parts: [AtomicU64; PARTS],
    sum: AtomicU64,
}

impl Histogram {
    /// Makes one of values within `bounds`, which rise. Bounds beyond the fifteenth are left out.
    pub const fn new(bounds: &'static [u64]) -> Self {
        let bounds = match bounds.split_at_checked(PARTS - 1) {
            Some((bounds, _)) => bounds,
            None => bounds,
        };
        Self { bounds, parts: [const { AtomicU64::new(0) }; PARTS], sum: AtomicU64::new(0) }
    }

    /// Takes one value.
    pub fn take(&self, value: u64) {
        let part = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        if let Some(part) = self.parts.get(part) {
            part.fetch_add(1, Relaxed);
        }
        self.sum.fetch_add(value, Relaxed);
    }

    /// Takes a time, in microseconds.
    pub fn take_time(&self, time: Duration) {
        self.take(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns what was taken until now.
    pub fn read(&self) -> Distribution {
        let count = |part: &AtomicU64| part.load(Relaxed);
        let parts = self.bounds.iter().copied().map(Some).chain([None]);
        Distribution { parts: parts.zip(self.parts.iter().map(count)).collect(), sum: self.sum.load(Relaxed) }
    }
}

/// The contents of a [`Histogram`] at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The upper bound of each part, none for the last one, and the number of values in it.
    pub parts: Vec<(Option<u64>, u64)>,
    /// The sum of the values.
    pub sum: u64,
}

impl Distribution {
    /// Returns the number of values.
    pub fn count(&self) -> u64 {
        self.parts.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_the_first_bound_that_holds_it() {
        let histogram = Histogram::new(&[1, 10]);
        for value in [0, 1, 2, 10, 11, 100] {
            histogram.take(value);
        }
        let parts = vec![(Some(1), 2), (Some(10), 2), (None, 2)];
        assert_eq!(histogram.read(), Distribution { parts, sum: 124 });
        assert_eq!(histogram.read().count(), 6);
    }

    #[test]
    fn every_bound_of_ours_has_its_part() {
        for bounds in [TIMES, NUMBERS] {
            assert!(bounds.len() < PARTS && bounds.is_sorted());
            assert_eq!(Histogram::new(bounds).read().parts.len(), bounds.len() + 1);
        }
    }

    #[test]
    fn a_level_that_fell_too_early_is_zero() {
        let level = Level::default();
        level.fall();
        assert_eq!(level.get(), 0);
        level.rise();
        level.rise();
        assert_eq!(level.get(), 1);
    }
}
