//! The limit of failures that one address may have in a minute (docs/operating.md).
//!
//! An IPv4 address counts alone. An IPv6 address counts for its /64, which one host owns, and at the same time for
//! the /56, /48 and /32 around it, whose limits grow with their width: so a network cannot fail without end by
//! changing its addresses. An address that succeeded within a day counts alone, with a whole limit of its own:
//! a full network around it does not touch it. Only the IPv6 addresses of one /48 that all succeeded have a limit
//! together, a wide one: whoever has an account can succeed from as many of them as they like.
//!
//! The memory is bounded: about 2 MB, whatever comes, and less while few addresses come. An address is refused only for failures that were counted for it or
//! for a network around it. Where the table has no room, failures are forgotten, the fewest first.
//!
//! A window begins with the first failure and lasts a minute. Requests that are already being answered
//! are not counted in advance, so as many as there are connections may overshoot.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client_address::network;
use super::failure_counts::FailureCounts;
use super::successful_addresses::{Place, SuccessfulAddresses};

/// The widths of IPv6 networks that count, each with the number of limits that it has.
const WIDTHS: [(u8, u32); 4] = [(64, 1), (56, 2), (48, 4), (32, 32)];
/// The number of limits that the addresses of one IPv6 /48 have together if they succeeded lately.
const LIMITS_OF_SUCCESSFUL: u32 = 32;
/// Sets of 8 failing networks each: 800 kB at most.
const FAILING: usize = 4096;
/// Sets of 8 successful addresses each: 1.3 MB at most.
const SUCCESSFUL: usize = 4096;

/// The failure limits of all addresses.
#[derive(Debug)]
pub struct FailureLimiter {
    limit: AtomicU32,
    hasher: RandomState,
    tables: Mutex<Tables>,
}

/// The address has reached its limit; it may try again after this many whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub u64);

#[derive(Debug)]
struct Tables {
    failing: FailureCounts,
    successful: SuccessfulAddresses,
}

impl FailureLimiter {
    /// Makes a limiter with `limit` failures a minute for every address; 0 means no limit.
    pub fn new(limit: u32) -> Self {
        Self::with_sets(limit, FAILING, SUCCESSFUL)
    }

    fn with_sets(limit: u32, failing: usize, successful: usize) -> Self {
        let tables = Tables {
            failing: FailureCounts::with_sets(failing),
            successful: SuccessfulAddresses::with_sets(successful),
        };
        Self { limit: limit.into(), hasher: RandomState::new(), tables: Mutex::new(tables) }
    }

    /// Changes the limit. What was counted stays.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Relaxed);
    }

    /// Checks that something guessable from `address` may be compared at `now`, the time since any fixed moment by a
    /// monotonic clock.
    ///
    /// # Errors
    /// [`RetryAfter`] if the address, or a network around it, has had its failures.
    pub fn allow(&self, address: IpAddr, now: Duration) -> Result<(), RetryAfter> {
        let limit = self.limit.load(Relaxed);
        if limit == 0 {
            return Ok(());
        }
        let (counted, now) = (self.counted(address), milliseconds(now));
        let tables = &mut *self.lock();
        let failing = &tables.failing;
        let full = |(key, limits)| failing.of(key).wait(limit.saturating_mul(limits), now);
        let wait = match tables.successful.find(counted.place, now) {
            Some(own) => own.wait(limit, now).max(counted.together.and_then(full)),
            None => counted.networks().filter_map(full).max(),
        };
        match wait {
            None => Ok(()),
            Some(wait) => Err(RetryAfter(wait.div_ceil(1000).max(1))),
        }
    }

    /// Counts one failure of `address` at `now`.
    pub fn record_failure(&self, address: IpAddr, now: Duration) {
        let (counted, now) = (self.counted(address), milliseconds(now));
        let tables = &mut *self.lock();
        if let Some(own) = tables.successful.find(counted.place, now) {
            own.add(now);
            if let Some((key, _)) = counted.together {
                tables.failing.add(key, now);
            }
            return;
        }
        for (key, _) in counted.networks() {
            tables.failing.add(key, now);
        }
    }

    /// Records a success of `address` at `now`. Its failures of this minute still count.
    pub fn record_success(&self, address: IpAddr, now: Duration) {
        let (counted, now) = (self.counted(address), milliseconds(now));
        let mut tables = self.lock();
        let count = tables.failing.of(counted.place.key);
        tables.successful.record(counted.place, now, count);
    }

    /// Returns true if `address` succeeded within a day before `now`.
    pub fn succeeded_lately(&self, address: IpAddr, now: Duration) -> bool {
        self.lock().successful.find(self.counted(address).place, milliseconds(now)).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // A panic while the lock was held leaves counts, at worst one short.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self, address: IpAddr) -> Counted {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let key = self.hasher.hash_one(address);
                let keys = [Some((key, 1)), None, None, None];
                Counted { place: Place { key, around: None }, keys, together: None }
            }
            IpAddr::V6(address) => {
                let keys = WIDTHS.map(|(width, limits)| {
                    (self.hasher.hash_one((network(address.into(), width), width)), limits)
                });
                let [(key, _), _, (of_48, _), (of_32, _)] = keys;
                let together = (self.hasher.hash_one((of_48, "succeeded")), LIMITS_OF_SUCCESSFUL);
                let place = Place { key, around: Some((of_48, of_32)) };
                Counted { place, keys: keys.map(Some), together: Some(together) }
            }
        }
    }
}

/// The keys under which an address is counted.
struct Counted {
    /// Its place among the addresses that succeeded.
    place: Place,
    /// The networks that it fails for, from the narrowest, with the number of limits that each has.
    keys: [Option<(u64, u32)>; WIDTHS.len()],
    /// The key that it shares with the addresses of its /48 if they succeeded, with the number of limits that they have.
    together: Option<(u64, u32)>,
}

impl Counted {
    fn networks(&self) -> impl Iterator<Item = (u64, u32)> {
        self.keys.iter().flatten().copied()
    }
}

fn milliseconds(now: Duration) -> u64 {
    now.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
