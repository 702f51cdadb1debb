//! The count that a guess goes to: that of the place it is made from, where that is one of the person's latest, or else the account's. So
//! nobody who guesses from elsewhere locks a person out of the places that they sign in from.

use alloc::vec::Vec;
use core::iter;

use crate::base::time::Time;
use crate::policy::password;
use crate::records::factor::{Factors, Lockout, LockoutOf};
use crate::records::id::UserId;
use crate::records::password::Password;
use crate::records::sign_in_history::{DeviceOnNetwork, SignInHistory};
use crate::store::change::Change;

/// A count of wrong guesses, as read: of a place, or of the account for all other places together.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(PartialEq))]
pub(crate) struct GuessCounter {
    user: UserId,
    of: LockoutOf,
    /// The place, if it has a count of its own.
    place: Option<DeviceOnNetwork>,
    before: Lockout,
}

impl GuessCounter {
    /// Returns the count for a password of `user` from `place`.
    pub(crate) fn of_password(
        user: &UserId,
        password: &Password,
        history: &SignInHistory,
        place: &DeviceOnNetwork,
    ) -> Self {
        Self::new(user, LockoutOf::Password, password.lockout, history, place)
    }

    /// Returns the count for a code of `user` from `place`.
    pub(crate) fn of_factors(
        user: &UserId,
        factors: &Factors,
        history: &SignInHistory,
        place: &DeviceOnNetwork,
    ) -> Self {
        Self::new(user, LockoutOf::Factors, factors.lockout, history, place)
    }

    fn new(
        user: &UserId,
        of: LockoutOf,
        of_account: Lockout,
        history: &SignInHistory,
        place: &DeviceOnNetwork,
    ) -> Self {
        let own = history.lockout(of, place);
        Self { user: user.clone(), of, place: own.map(|_| *place), before: own.unwrap_or(of_account) }
    }

    /// Returns the person who is guessed at.
    pub(crate) const fn user(&self) -> &UserId {
        &self.user
    }

    /// Returns what it counts.
    pub(crate) const fn of(&self) -> LockoutOf {
        self.of
    }

    /// Returns true if every guess is refused at `now`.
    pub(crate) fn is_locked(&self, now: Time) -> bool {
        self.before.is_locked(self.longest(), now)
    }

    /// Returns true if a lock was set by a clock that was ahead, and counts as absent.
    pub(crate) fn is_dated_ahead(&self, now: Time) -> bool {
        self.before.is_dated_ahead(self.longest(), now)
    }

    /// Returns the change that counts a wrong guess at `now`, and true if that locks.
    pub(crate) fn count_wrong(&self, now: Time) -> (Change, bool) {
        let before = self.before.without_dated_ahead(self.longest(), now);
        let after = match self.of {
            LockoutOf::Password => password::failed(before, now),
            LockoutOf::Factors => before.failed(now),
        };
        (self.set(after), after.locks > before.locks)
    }

    /// Returns the change that begins anew after a right guess. It names what was read though nothing may change: what was guessed
    /// since counts against a right guess too.
    pub(crate) fn begin_anew(&self) -> Change {
        self.set(Lockout::NONE)
    }

    /// Returns the changes that begin anew at every place that has a count of its own, this one included.
    pub(crate) fn begin_anew_everywhere(&self, history: &SignInHistory) -> Vec<Change> {
        let places = clear_places(&self.user, self.of, history);
        let is_elsewhere = |change: &Change| !matches!(change, Change::SetPlaceLockout { place, .. } if Some(*place) == self.place);
        iter::once(self.begin_anew()).chain(places.filter(is_elsewhere)).collect()
    }

    const fn longest(&self) -> u64 {
        match self.of {
            LockoutOf::Password => password::MAX_LOCK,
            LockoutOf::Factors => Lockout::LONGEST_LOCK,
        }
    }

    fn set(&self, after: Lockout) -> Change {
        let (user, before) = (self.user.clone(), self.before);
        match (self.place, self.of) {
            (Some(place), of) => Change::SetPlaceLockout { user, place, of, before, after },
            (None, LockoutOf::Password) => Change::SetPasswordLockout { user, before, after },
            (None, LockoutOf::Factors) => Change::SetLockout { user, before, after },
        }
    }
}

/// Returns the changes that clear every lockout of a password, or of factors, which the latest places of `user` have of their own.
pub(crate) fn clear_places<'a>(
    user: &'a UserId,
    of: LockoutOf,
    history: &'a SignInHistory,
) -> impl Iterator<Item = Change> + 'a {
    let counted = history.with_lockouts().filter(move |known| known.lockout(of) != Lockout::NONE);
    counted.map(move |known| Change::SetPlaceLockout {
        user: user.clone(),
        place: known.place,
        of,
        before: known.lockout(of),
        after: Lockout::NONE,
    })
}
