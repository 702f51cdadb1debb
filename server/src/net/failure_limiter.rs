//! The limit of failures that one address may have in a minute (docs/http-api.md).
//!
//! The memory is fixed. Addresses (IPv4 addresses and IPv6 /64 networks) live in sets of `WAYS` slots; a secretly
//! keyed hash chooses the set. If a set is full, the address with the fewest failures makes room, never one that has
//! reached its limit: that one stays refused for the whole minute, however many other addresses fail. If every slot of
//! a set is refused, the remaining addresses of that set share one limit until a slot is free.
//!
//! A window begins with an address's first failure and lasts a minute. Requests that are already being answered
//! are not counted in advance, so as many as there are connections may overshoot.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::net::client_address::{Proxies, source};

/// The time for which failures count.
const WINDOW: Duration = Duration::from_secs(60);
/// Slots in one set.
const WAYS: usize = 8;
/// Sets: with `WAYS` slots, 8192 addresses in under half a megabyte.
const SETS: usize = 1024;

/// The failure limits of all addresses.
#[derive(Debug)]
pub struct FailureLimiter {
    limit: u32,
    exempt: ExemptAddresses,
    hasher: RandomState,
    sets: Mutex<Vec<Set>>,
}

/// The addresses without a failure limit.
#[derive(Clone, Debug, Default)]
pub struct ExemptAddresses {
    /// True if loopback addresses are exempt.
    pub loopback: bool,
    /// The exempt proxies.
    pub proxies: Proxies,
}

/// The address has reached its limit; it may try again after this many whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub u64);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    since: Duration,
    failures: u32,
}

impl Count {
    fn is_over(self, now: Duration) -> bool {
        self.failures == 0 || now.saturating_sub(self.since) >= WINDOW
    }

    fn add(&mut self, now: Duration) {
        if self.is_over(now) {
            *self = Self { since: now, failures: 0 };
        }
        self.failures = self.failures.saturating_add(1);
    }

    fn is_spent(self, limit: u32, now: Duration) -> bool {
        self.failures >= limit && !self.is_over(now)
    }

    fn retry_after(self, now: Duration) -> RetryAfter {
        let left = (self.since + WINDOW).saturating_sub(now);
        RetryAfter(left.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1))
    }
}

#[derive(Clone, Debug, Default)]
struct Set {
    slots: [(Option<IpAddr>, Count); WAYS],
    rest: Count,
}

impl FailureLimiter {
    /// Makes a limiter with `limit` failures a minute for every address that is not exempt; 0 means no limit.
    pub fn new(limit: u32, exempt: ExemptAddresses) -> Self {
        Self::with_sets(limit, exempt, if limit == 0 { 1 } else { SETS })
    }

    fn with_sets(limit: u32, exempt: ExemptAddresses, sets: usize) -> Self {
        Self { limit, exempt, hasher: RandomState::new(), sets: Mutex::new(vec![Set::default(); sets]) }
    }

    /// Checks that a request from `address` may be answered at `now`, the time since any fixed moment by a monotonic
    /// clock.
    ///
    /// # Errors
    /// [`RetryAfter`] if the address has had its failures.
    pub fn check(&self, address: IpAddr, now: Duration) -> Result<(), RetryAfter> {
        self.with(address, |set, source| {
            let mut shut_out = 0;
            for (of, count) in &set.slots {
                let spent = count.is_spent(self.limit, now);
                if *of == Some(source) {
                    return if spent { Err(count.retry_after(now)) } else { Ok(()) };
                }
                shut_out += usize::from(spent);
            }
            if shut_out == WAYS && set.rest.is_spent(self.limit, now) {
                return Err(set.rest.retry_after(now));
            }
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Counts one failure of `address` at `now`.
    pub fn record_failure(&self, address: IpAddr, now: Duration) {
        self.with(address, |set, source| {
            if let Some((_, count)) = set.slots.iter_mut().find(|(of, _)| *of == Some(source)) {
                count.add(now);
                return;
            }
            let quietest = set
                .slots
                .iter_mut()
                .filter(|(_, count)| !count.is_spent(self.limit, now))
                .min_by_key(|(_, count)| if count.is_over(now) { 0 } else { count.failures });
            match quietest {
                Some(slot) => *slot = (Some(source), Count { since: now, failures: 1 }),
                None => set.rest.add(now),
            }
        });
    }

    /// Returns what `then` returns for the set of `address`; none if the address is exempt.
    fn with<T>(&self, address: IpAddr, then: impl FnOnce(&mut Set, IpAddr) -> T) -> Option<T> {
        let address = address.to_canonical();
        let is_exempt =
            (self.exempt.loopback && address.is_loopback()) || self.exempt.proxies.trusts(address);
        if self.limit == 0 || is_exempt {
            return None;
        }
        let source = source(address);
        // A panic while the lock was held leaves counts, at worst one short.
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(self.hasher.hash_one(source) % u64::try_from(sets.len()).ok()?).ok()?;
        sets.get_mut(at).map(|set| then(set, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn numbered(n: u32) -> IpAddr {
        IpAddr::from((0x0b00_0000 + n).to_be_bytes())
    }

    #[test]
    fn thirty_failures_then_a_wait_of_what_is_left_of_the_minute() {
        let limiter = FailureLimiter::new(30, ExemptAddresses::default());
        let noisy = ip("192.0.2.1");
        for n in 0..30 {
            assert_eq!(limiter.check(noisy, at(n)), Ok(()), "{n}");
            limiter.record_failure(noisy, at(n));
        }
        for (now, answer) in
            [(30, Err(RetryAfter(30))), (59, Err(RetryAfter(1))), (60, Ok(())), (200, Ok(()))]
        {
            assert_eq!(limiter.check(noisy, at(now)), answer, "{now}");
        }
        assert_eq!(limiter.check(noisy, Duration::from_millis(59_999)), Err(RetryAfter(1)));
        assert_eq!(limiter.check(ip("192.0.2.2"), at(30)), Ok(()));
    }

    #[test]
    fn a_new_minute_begins_with_nothing() {
        let limiter = FailureLimiter::new(2, ExemptAddresses::default());
        let address = ip("192.0.2.1");
        for now in [0, 59, 60, 60] {
            limiter.record_failure(address, at(now));
        }
        assert_eq!(limiter.check(address, at(60)), Err(RetryAfter(60)));
    }

    #[test]
    fn who_counts_together_and_who_not_at_all() {
        let exempt =
            ExemptAddresses { loopback: true, proxies: Proxies::new(["10.0.0.1/32".parse().unwrap()]) };
        for (failing, asking, shut_out) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1:2:3", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("127.0.0.1", "127.0.0.1", false),
            ("::1", "::1", false),
            ("10.0.0.1", "10.0.0.1", false),
        ] {
            let limiter = FailureLimiter::new(1, exempt.clone());
            limiter.record_failure(ip(failing), at(0));
            assert_eq!(limiter.check(ip(asking), at(0)).is_err(), shut_out, "{failing} {asking}");
        }
        let strict = FailureLimiter::new(1, ExemptAddresses::default());
        strict.record_failure(ip("::1"), at(0));
        assert!(strict.check(ip("::1"), at(0)).is_err());
        let off = FailureLimiter::new(0, ExemptAddresses::default());
        off.record_failure(ip("192.0.2.1"), at(0));
        assert_eq!(off.check(ip("192.0.2.1"), at(0)), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_neither_grows_the_table_nor_frees_whoever_is_shut_out() {
        let limiter = FailureLimiter::with_sets(2, ExemptAddresses::default(), 2);
        let noisy = ip("192.0.2.1");
        limiter.record_failure(noisy, at(0));
        limiter.record_failure(noisy, at(0));
        for n in 0..10_000 {
            limiter.record_failure(numbered(n), at(1));
        }
        assert!(limiter.check(noisy, at(2)).is_err());
        assert_eq!(limiter.sets.lock().unwrap().len(), 2);
    }

    #[test]
    fn where_all_slots_are_shut_out_the_rest_shares_one_budget() {
        let limiter = FailureLimiter::with_sets(2, ExemptAddresses::default(), 1);
        for n in 0..u32::try_from(WAYS).unwrap() {
            limiter.record_failure(numbered(n), at(0));
            limiter.record_failure(numbered(n), at(0));
        }
        assert_eq!(limiter.check(numbered(100), at(1)), Ok(()));
        limiter.record_failure(numbered(100), at(1));
        limiter.record_failure(numbered(101), at(1));
        assert_eq!(limiter.check(numbered(102), at(1)), Err(RetryAfter(60)));
        assert_eq!(limiter.check(numbered(102), at(60)), Ok(()), "slots are free again");
    }
}
