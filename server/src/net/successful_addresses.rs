//! A table of fixed size that remembers which addresses succeeded lately.

use super::failure_counts::{Count, at};
use super::sets::Sets;

/// The time for which a success counts, in milliseconds: a day.
const LATELY: u64 = 86_400_000;
/// The sets among which one IPv6 /48 may have its addresses.
const SETS_OF_48: usize = 32;
/// The number of such groups among which one /32 may have them.
const GROUPS_OF_32: usize = 16;

/// The place of an address in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The hash of the address.
    pub(super) key: u64,
    /// The hashes of the IPv6 /48 and /32 around it; none for IPv4.
    pub(super) around: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    key: u64,
    /// The time of its last success; none if the slot is free.
    succeeded: Option<u64>,
    count: Count,
}

impl Slot {
    fn holds(&self, key: u64, now: u64) -> bool {
        self.key == key && self.succeeded.is_some_and(|since| now.saturating_sub(since) < LATELY)
    }
}

/// The table. If a set is full, the address that succeeded longest ago makes room.
///
/// Whoever has an account and a large IPv6 network can succeed from as many addresses as they like. So a /48 has its
/// addresses in a few sets, and a /32 in a few more: they make no room among the addresses of everybody else.
#[derive(Debug)]
pub(super) struct SuccessfulAddresses {
    pub(super) sets: Sets<Slot>,
}

impl SuccessfulAddresses {
    pub(super) fn with_sets(sets: usize) -> Self {
        Self { sets: Sets::new(sets) }
    }

    /// Returns the own count of failures of an address that succeeded lately.
    pub(super) fn find(&mut self, place: Place, now: u64) -> Option<&mut Count> {
        let set = self.sets.get_mut(self.index(place))?;
        set.iter_mut().find(|slot| slot.holds(place.key, now)).map(|slot| &mut slot.count)
    }

    /// Records a success. An address that is new here brings its `count` of failures.
    pub(super) fn record(&mut self, place: Place, now: u64, count: Count) {
        let Some(set) = self.sets.writable(self.index(place)) else { return };
        let succeeded = Some(now);
        if let Some(slot) = set.iter_mut().find(|slot| slot.holds(place.key, now)) {
            slot.succeeded = succeeded;
        } else if let Some(oldest) = set.iter_mut().min_by_key(|slot| slot.succeeded) {
            *oldest = Slot { key: place.key, succeeded, count };
        }
    }

    /// Returns the index of the place's set, modulo the number of sets.
    fn index(&self, place: Place) -> usize {
        let sets = self.sets.count();
        match place.around {
            None => at(place.key, sets),
            Some((of_48, of_32)) => {
                at(of_32, sets) + at(of_48, GROUPS_OF_32) * SETS_OF_48 + at(place.key, SETS_OF_48)
            }
        }
    }
}
