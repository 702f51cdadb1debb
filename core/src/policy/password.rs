//! Passwords: their form, their limit of wrong guesses, and their lifetime.

use alloc::string::String;

use crate::base::codes::codes;
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::records::factor::Lockout;
use crate::records::session::Purpose;
use crate::records::user::User;
use crate::settings::PasswordAge;

/// The longest password, in bytes of UTF-8.
pub const MAX_BYTES: usize = 1_024;

/// The commonest passwords of eight characters or more, the commonest first, in lower case: Mark Burnett's list, as the
/// `zxcvbn` crate keeps it.
const COMMON: &str = include_str!("common_passwords.txt");

/// The reason why a new password is refused (NIST SP 800-63B §5.1.1.2: length and commonness, no rules of composition).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// It has fewer characters than are asked for.
    TooShort,
    /// It is over [`MAX_BYTES`].
    TooLong,
    /// It is among the commonest, or made of the account's own name or address.
    Common,
}

/// Checks that `password` is good enough for `user`, with at least `least` characters. It is measured as it is hashed, in Unicode's
/// normalization form C.
///
/// # Errors
/// [`PasswordError`] says why not.
pub fn fit(password: &SecretText, user: &User, least: u32) -> Result<(), PasswordError> {
    let nfc = password.nfc();
    let password = nfc.as_ref().unwrap_or(password).expose();
    if u32::try_from(password.chars().count()).unwrap_or(u32::MAX) < least {
        return Err(PasswordError::TooShort);
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    let plain = zeroize::Zeroizing::new(password.to_lowercase());
    let plain = plain.as_str();
    let email = user.email.as_deref();
    let own =
        [Some(user.username.as_str()), email, email.and_then(|e| e.split('@').next()), user.phone.as_deref()];
    let is_own = own.into_iter().flatten().any(|own| own.to_lowercase() == plain);
    let mut characters = plain.chars();
    let first = characters.next();
    let is_one_character = characters.all(|c| Some(c) == first);
    if is_own || is_one_character || COMMON.lines().any(|common| common == plain) {
        return Err(PasswordError::Common);
    }
    Ok(())
}

/// Wrong passwords in a row that cost nothing yet.
const FREE: u32 = 3;

/// The longest wait before the next try, short of a lock, in seconds.
const MAX_WAIT: u64 = 30;

/// The longest lock, in seconds: whoever knows a name can bring one about, so it must not keep its owner out for long.
pub(crate) const MAX_LOCK: u64 = 900;

/// After one more wrong password at `now`: every further try has to wait, twice as long as the one before, and ten in a
/// row lock as ten wrong codes do.
#[must_use]
pub(crate) fn failed(lockout: Lockout, now: Time) -> Lockout {
    let after = lockout.failed(now);
    if after.locks > lockout.locks {
        let latest = now.plus(MAX_LOCK);
        return Lockout { locked_until: after.locked_until.map(|until| until.min(latest)), ..after };
    }
    if after.wrong < FREE {
        return after;
    }
    let wait = (1u64 << (after.wrong - FREE).min(16)).min(MAX_WAIT);
    Lockout { locked_until: Some(now.plus(wait)), ..after }
}

codes! {
    /// The warning about a password that expires.
    Warning {
        /// It will, soon.
        Expiring = "expiring",
        /// It has, and signs in for a while still.
        ExpiredGrace = "expired_grace",
        /// It has, and has to be changed.
        Expired = "expired",
    }
}

/// The state of a person's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// True if it has to be changed before anything else.
    pub must_change: bool,
    /// The whole days until it expires; none if it does not.
    pub expires_in: Option<u64>,
    /// The warning about it.
    pub warning: Option<Warning>,
}

impl Standing {
    /// Returns the purpose of a session of the user, or of an actor. An actor cannot change the user's password, and is
    /// not held up by it.
    pub const fn purpose(&self, acting: bool) -> Purpose {
        if self.must_change && !acting { Purpose::ChangePassword } else { Purpose::Anything }
    }
}

/// Returns the state of the password of `user` at `now`.
pub fn standing(user: &User, age: Option<PasswordAge>, now: Time) -> Standing {
    let flagged = user.must_change_password;
    let (Some(changed), Some(age)) = (user.password_changed_at, age) else {
        return Standing { must_change: flagged, expires_in: None, warning: None };
    };
    let expires = changed.plus(age.life.into());
    let left = now.until(expires);
    // One that was set later than a whole life from now was set by a clock that was ahead: it would never expire.
    let unheard_of = changed.is_ahead_of(now.plus(age.life.into()));
    let warning = if unheard_of || now >= expires.plus(age.grace.into()) {
        Some(Warning::Expired)
    } else if now >= expires {
        Some(Warning::ExpiredGrace)
    } else {
        (left <= age.warning.into()).then_some(Warning::Expiring)
    };
    Standing {
        must_change: flagged || warning == Some(Warning::Expired),
        expires_in: Some(if unheard_of { 0 } else { left / 86_400 }),
        warning,
    }
}

/// The words go on after "the password".
impl core::fmt::Display for PasswordError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text: String = match self {
            Self::TooShort => "is too short".into(),
            Self::TooLong => alloc::format!("is over {MAX_BYTES} bytes"),
            Self::Common => "is one of the commonest, or the account's own name: choose another".into(),
        };
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ticket_redemption::tests::user;

    #[test]
    fn what_will_do() {
        let alice = User {
            email: Some("alice.liddell@example.com".into()),
            phone: Some("+442079460000".into()),
            ..user("alice-liddell")
        };
        for (password, expected) in [
            ("correct horse", Ok(())),
            ("密码密码密码密码码", Ok(())),
            ("seven77", Err(PasswordError::TooShort)),
            ("密码密码密码密", Err(PasswordError::TooShort)),
            // Seven characters, however they are composed.
            ("e\u{301}e\u{301}e\u{301}e\u{301}abc", Err(PasswordError::TooShort)),
            (&"ab".repeat(512), Ok(())),
            (&"ab".repeat(513), Err(PasswordError::TooLong)),
            ("password", Err(PasswordError::Common)),
            ("PassWord", Err(PasswordError::Common)),
            ("1qaz2wsx", Err(PasswordError::Common)),
            ("aaaaaaaaaaaa", Err(PasswordError::Common)),
            ("Alice-Liddell", Err(PasswordError::Common)),
            ("ALICE.LIDDELL", Err(PasswordError::Common)),
            ("alice.liddell@example.com", Err(PasswordError::Common)),
            ("+442079460000", Err(PasswordError::Common)),
            ("alice-liddell1", Ok(())),
        ] {
            assert_eq!(fit(&SecretText::new(password.into()), &alice, 8), expected, "{password}");
        }
        assert_eq!(COMMON.lines().count(), 3_000);
        assert!(COMMON.lines().all(|line| line.len() >= 8 && line == line.to_lowercase()));
    }

    #[test]
    fn every_further_guess_waits_longer_and_ten_lock() {
        let mut lockout = Lockout::default();
        let mut now = Time::from_unix(1_000);
        let mut waits = alloc::vec![];
        for _ in 0..21 {
            lockout = failed(lockout, now);
            let wait = lockout.locked_until.map_or(0, |until| now.until(until));
            waits.push(wait);
            now = now.plus(wait);
        }
        let short = [0, 0, 1, 2, 4, 8, 16, 30, 30, 60];
        assert_eq!(waits, [&short[..], &[30; 9], &[120], &[30]].concat());
        for _ in 0..1_000 {
            lockout = failed(lockout, now);
            assert!(lockout.locked_until.is_some_and(|until| now.until(until) <= 900));
        }
    }

    #[test]
    fn how_a_password_stands() {
        const DAY: u64 = 86_400;
        let day = |days: u32| days * 86_400;
        let age = Some(PasswordAge { life: day(90), warning: day(14), grace: day(7) });
        let set = |at| User { password_changed_at: Some(Time::from_unix(at)), ..user("alice") };
        for (passed, expected) in [
            (0, (false, Some(90), None)),
            (75 * DAY + DAY - 1, (false, Some(14), None)),
            (76 * DAY, (false, Some(14), Some(Warning::Expiring))),
            (90 * DAY - 1, (false, Some(0), Some(Warning::Expiring))),
            (90 * DAY, (false, Some(0), Some(Warning::ExpiredGrace))),
            (97 * DAY - 1, (false, Some(0), Some(Warning::ExpiredGrace))),
            (97 * DAY, (true, Some(0), Some(Warning::Expired))),
            (9_000 * DAY, (true, Some(0), Some(Warning::Expired))),
        ] {
            let Standing { must_change, expires_in, warning } =
                standing(&set(5), age, Time::from_unix(5 + passed));
            assert_eq!((must_change, expires_in, warning), expected, "{passed} s");
        }
        // Set by a clock that was ahead by more than it lives.
        for (ahead, must_change) in [(90 * DAY + 60, false), (90 * DAY + 61, true)] {
            let standing = standing(&set(5 + ahead), age, Time::from_unix(5));
            assert_eq!(standing.must_change, must_change, "{ahead} s");
            assert_eq!(standing.expires_in == Some(0), must_change, "{ahead} s");
        }
        let late = Time::from_unix(9_000 * DAY);
        let flagged = User { must_change_password: true, ..set(5) };
        for (user, age, must_change) in [
            (set(5), None, false),
            (user("alice"), age, false),
            (flagged.clone(), None, true),
            (flagged, age, true),
        ] {
            let standing = standing(&user, age, late);
            assert_eq!(standing.must_change, must_change, "{user:?}");
        }
    }
}
