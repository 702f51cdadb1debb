//! A person's second factors: TOTP devices (RFC 6238) and backup codes, and how often they have been guessed at.

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::base::codes::codes;
use crate::base::secret::{SecretBytes, same_bytes};
use crate::base::time::Time;
use crate::crypto::{OtpHash, sha256};
use crate::records::id::{DeviceId, SessionId, UserId};

/// The most devices a person can have, waiting ones included.
pub const MAX_DEVICES: usize = 8;

/// The time in which a new device must be verified, in seconds. Afterwards it cannot be verified any more, and makes room.
pub const SET_UP_LIFETIME: u64 = 3_600;

/// The number of backup codes that are made at once.
pub const BACKUP_CODES: usize = 10;

codes! {
    /// The rule that says when a sign-in asks for a second factor.
    AskFactor {
        /// Never.
        Never = "never",
        /// If the risk of the sign-in calls for one.
        Risk = "risk",
        /// Always.
        Always = "always",
    }
}

/// The parameters of a device's codes. A step is 30 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtpParameters {
    /// The hash.
    pub hash: OtpHash,
    /// Digits of a code: 6 or 8.
    pub digits: u8,
}

impl OtpParameters {
    /// SHA-1 and six digits.
    pub const DEFAULT: Self = Self { hash: OtpHash::Sha1, digits: 6 };
}

/// A TOTP device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpDevice {
    /// Its name in lists.
    pub id: DeviceId,
    /// The user it belongs to.
    pub user_id: UserId,
    /// The user's name for it.
    pub name: Option<String>,
    /// The parameters of its codes.
    pub parameters: OtpParameters,
    /// The shared secret. A store must keep it sealed.
    pub secret: SecretBytes,
    /// The time when it was set up.
    pub created_at: Time,
    /// The time when its first code was verified; none while it waits. A waiting device is no second factor.
    pub verified_at: Option<Time>,
    /// The session that verified it.
    pub verified_by: Option<SessionId>,
    /// True if the person who set it up had shown a second factor, or showed one for it. Once a device is verified, only such a device can be verified.
    pub vouched_for: bool,
    /// The last step of which a code was accepted: no code of it or before it is accepted again (RFC 6238 §5.2).
    pub last_step: u64,
}

impl TotpDevice {
    /// Returns true if its first code can be verified at `now`.
    pub fn is_waiting(&self, now: Time) -> bool {
        self.verified_at.is_none() && !self.is_abandoned(now)
    }

    /// Returns true if it waited too long for its first code.
    pub fn is_abandoned(&self, now: Time) -> bool {
        self.verified_at.is_none()
            && (self.created_at.plus(SET_UP_LIFETIME) <= now || self.created_at.is_ahead_of(now))
    }
}

/// SHA-256 of a backup code and whose it is. A code has 80 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupDigest(pub [u8; 32]);

impl fmt::Debug for BackupDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupDigest(…)")
    }
}

impl BackupDigest {
    /// Returns the digest of `code` of `user`. Case, spaces and hyphens do not matter.
    pub fn of(user: &UserId, code: &str) -> Self {
        let plain = code.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase());
        let text: zeroize::Zeroizing<String> =
            user.as_str().chars().chain([':']).chain(plain).collect::<String>().into();
        Self(sha256(text.as_bytes()))
    }
}

/// The kind of credential that a lockout is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockoutOf {
    /// The password.
    Password,
    /// The second factors.
    Factors,
}

/// The wrong guesses of a password or of second factors, and the lock that follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lockout {
    /// Wrong guesses in a row.
    pub wrong: u32,
    /// Locks in a row.
    pub locks: u32,
    /// The end of the lock; until then every attempt is refused.
    pub locked_until: Option<Time>,
}

impl Lockout {
    /// No wrong guess.
    pub const NONE: Self = Self { wrong: 0, locks: 0, locked_until: None };
    /// The wrong guesses in a row that cause a lock.
    pub const PER_LOCK: u32 = 10;
    /// The first lock, in seconds; each one in a row is twice as long, up to a day.
    pub const FIRST_LOCK: u64 = 60;
    /// The longest lock, in seconds.
    pub const LONGEST_LOCK: u64 = 86_400;

    /// Returns true if every code is refused at `now`, where no lock is longer than `longest` seconds.
    pub fn is_locked(&self, longest: u64, now: Time) -> bool {
        self.locked_until.is_some_and(|end| now < end) && !self.is_dated_ahead(longest, now)
    }

    /// Returns true if the lock ends later than one of `longest` seconds could: it was set by a clock that was ahead, and counts
    /// as absent.
    pub fn is_dated_ahead(&self, longest: u64, now: Time) -> bool {
        self.locked_until.is_some_and(|end| end.is_ahead_of(now.plus(longest)))
    }

    /// Returns them without a lock that counts as absent.
    #[must_use]
    pub fn without_dated_ahead(self, longest: u64, now: Time) -> Self {
        if self.is_dated_ahead(longest, now) { Self { locked_until: None, ..self } } else { self }
    }

    /// Returns the state after one more wrong guess at `now`.
    #[must_use]
    pub fn failed(self, now: Time) -> Self {
        let wrong = self.wrong.saturating_add(1);
        if !wrong.is_multiple_of(Self::PER_LOCK) {
            return Self { wrong, ..self };
        }
        let length = Self::FIRST_LOCK.saturating_mul(1 << self.locks.min(20)).min(Self::LONGEST_LOCK);
        Self { wrong, locks: self.locks.saturating_add(1), locked_until: Some(now.plus(length)) }
    }
}

/// Everything that a person can answer a challenge with.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Factors {
    /// The devices, the newest first.
    pub devices: Vec<TotpDevice>,
    /// The unused backup codes.
    pub backup_codes: Vec<BackupDigest>,
    /// The wrong codes, and the lock that follows from them.
    pub lockout: Lockout,
}

impl Factors {
    /// Returns the verified devices.
    pub fn verified(&self) -> impl Iterator<Item = &TotpDevice> {
        self.devices.iter().filter(|device| device.verified_at.is_some())
    }

    /// Returns true if the person can answer a challenge.
    pub fn is_enrolled(&self) -> bool {
        self.verified().next().is_some()
    }

    /// Returns true if `digest` is one of the backup codes.
    pub fn has_backup_code(&self, digest: &BackupDigest) -> bool {
        self.is_enrolled()
            && self.backup_codes.iter().fold(false, |found, code| found | same_bytes(&code.0, &digest.0))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A device of alice with the secret of the RFCs, not verified yet.
    pub(crate) fn device() -> TotpDevice {
        TotpDevice {
            id: DeviceId::parse("dev_1").unwrap(),
            user_id: UserId::parse("alice").unwrap(),
            name: None,
            parameters: OtpParameters::DEFAULT,
            secret: SecretBytes::new(b"12345678901234567890".to_vec()),
            created_at: Time::from_unix(0),
            verified_at: None,
            verified_by: None,
            vouched_for: false,
            last_step: 0,
        }
    }

    #[test]
    fn ten_wrong_codes_lock_for_a_time_that_doubles() {
        let mut lockout = Lockout::default();
        let mut now = Time::from_unix(0);
        for length in [60, 120, 240] {
            for _ in 0..9 {
                lockout = lockout.failed(now);
                assert!(!lockout.is_locked(Lockout::LONGEST_LOCK, now));
            }
            lockout = lockout.failed(now);
            assert!(
                lockout.is_locked(86_400, now.plus(length - 1))
                    && !lockout.is_locked(86_400, now.plus(length)),
                "{length}"
            );
            now = now.plus(length);
        }
        for _ in 0..1_000 {
            lockout = lockout.failed(now);
        }
        assert_eq!(lockout.locked_until, Some(now.plus(86_400)));
    }

    #[test]
    fn a_lock_that_no_right_clock_set_counts_as_absent() {
        let now = Time::from_unix(1_000);
        for (until, locked, ahead) in [
            (1_000, false, false),
            (1_001, true, false),
            (1_960, true, false),
            (1_961, false, true),
            (u64::MAX, false, true),
        ] {
            let lockout = Lockout { wrong: 10, locks: 1, locked_until: Some(Time::from_unix(until)) };
            assert_eq!(lockout.is_locked(900, now), locked, "{until}");
            assert_eq!(lockout.is_dated_ahead(900, now), ahead, "{until}");
            let left = lockout.without_dated_ahead(900, now);
            assert_eq!((left.wrong, left.locked_until.is_none()), (10, ahead), "{until}");
        }
    }

    #[test]
    fn a_backup_code_is_read_as_it_is_typed() {
        let (alice, bob) = (UserId::parse("alice").unwrap(), UserId::parse("bob").unwrap());
        let digest = BackupDigest::of(&alice, "ABCD-EFGH-2345-6789");
        assert_eq!(BackupDigest::of(&alice, "abcd efgh23456789"), digest);
        assert_ne!(BackupDigest::of(&bob, "ABCD-EFGH-2345-6789"), digest);
    }
}
