//! A table of fixed size that counts failures within a minute.

use super::sets::Sets;

/// The time for which failures count, in milliseconds.
const WINDOW: u64 = 60_000;

/// The failures of one minute. The minute begins with the first of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    since: u64,
    failures: u32,
}

impl Count {
    /// Returns the failures that still count at `now`.
    fn failures(self, now: u64) -> u32 {
        if now.saturating_sub(self.since) >= WINDOW { 0 } else { self.failures }
    }

    /// Counts one failure.
    pub(super) fn add(&mut self, now: u64) {
        if self.failures(now) == 0 {
            *self = Self { since: now, failures: 0 };
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Returns the milliseconds until the minute ends, if it has had `limit` failures.
    pub(super) fn wait(self, limit: u32, now: u64) -> Option<u64> {
        (self.failures(now) >= limit).then(|| (self.since + WINDOW).saturating_sub(now))
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    key: u64,
    count: Count,
}

/// The table. Its keys are hashes that nobody outside can foresee; a key chooses a set of slots. If a set is
/// full, the key with the fewest failures makes room. So a flood of keys with one failure each replaces only
/// its own, and a key that has many failures stays.
#[derive(Debug)]
pub(super) struct FailureCounts {
    pub(super) sets: Sets<Slot>,
}

impl FailureCounts {
    pub(super) fn with_sets(sets: usize) -> Self {
        Self { sets: Sets::new(sets) }
    }

    /// Returns the count of `key`.
    pub(super) fn of(&self, key: u64) -> Count {
        let set = self.sets.get(self.set_of(key)).into_iter().flatten();
        set.filter(|slot| slot.key == key).map(|slot| slot.count).next().unwrap_or_default()
    }

    /// Counts one failure of `key`.
    pub(super) fn add(&mut self, key: u64, now: u64) {
        let at = self.set_of(key);
        let Some(set) = self.sets.writable(at) else { return };
        if let Some(slot) = set.iter_mut().find(|slot| slot.key == key) {
            slot.count.add(now);
        } else if let Some(fewest) =
            set.iter_mut().min_by_key(|slot| (slot.count.failures(now), slot.count.since))
        {
            *fewest = Slot { key, count: Count { since: now, failures: 1 } };
        }
    }

    fn set_of(&self, key: u64) -> usize {
        at(key, self.sets.count())
    }
}

/// Returns the place of `hash` among `places`.
pub(super) fn at(hash: u64, places: usize) -> usize {
    let places = u64::try_from(places).unwrap_or(u64::MAX).max(1);
    usize::try_from(hash % places).unwrap_or_default()
}
