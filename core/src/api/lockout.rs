//! Wrong codes and passwords, counted; and where that locks, a row of its own.

use alloc::vec::Vec;

use crate::api::context::Context;
use crate::policy::password;
use crate::records::factor::{Factors, Lockout};
use crate::records::id::UserId;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;

/// Returns the changes for a wrong code of `user`; none while the factors are locked.
pub(crate) fn count_wrong(ctx: &Context, factors: &Factors, user: &UserId) -> Vec<Change> {
    let (before, longest) = (factors.lockout, Lockout::LONGEST_LOCK);
    let after = before.without_dated_ahead(longest, ctx.now()).failed(ctx.now());
    let counted = Change::SetLockout { user: user.clone(), before, after };
    count(ctx, user, (before, after, longest), counted, Refusal::FactorsLocked)
}

/// The same for a password.
pub(crate) fn count_wrong_password(ctx: &Context, before: Lockout, user: &UserId) -> Vec<Change> {
    let after = password::failed(before.without_dated_ahead(password::MAX_LOCK, ctx.now()), ctx.now());
    let counted = Change::SetPasswordLockout { user: user.clone(), before, after };
    count(ctx, user, (before, after, password::MAX_LOCK), counted, Refusal::PasswordLocked)
}

/// Returns the audit row about a lock of `user` that is dated ahead and did not count; none where there is no such lock.
pub(crate) fn lock_ignored(ctx: &Context, lockout: &Lockout, longest: u64, user: &UserId) -> Option<Change> {
    lockout.is_dated_ahead(longest, ctx.now()).then(|| date_ignored(ctx, user))
}

/// Returns the audit row about dates of `user` that lie ahead and did not count where `accepted` was written for a code; none where
/// there are none.
pub(crate) fn dates_ignored(
    ctx: &Context,
    factors: &Factors,
    user: &UserId,
    accepted: &[Change],
) -> Option<Change> {
    let went_back =
        |change: &Change| matches!(change, Change::UseStep { step, before, .. } if before >= step);
    let ahead = factors.lockout.is_dated_ahead(Lockout::LONGEST_LOCK, ctx.now());
    (ahead || accepted.iter().any(went_back)).then(|| date_ignored(ctx, user))
}

fn date_ignored(ctx: &Context, user: &UserId) -> Change {
    Change::Audit(Event { subject: Some(user.clone()), ..ctx.event(Kind::DateIgnored) })
}

fn count(
    ctx: &Context,
    user: &UserId,
    (before, after, longest): (Lockout, Lockout, u64),
    counted: Change,
    why: Refusal,
) -> Vec<Change> {
    if before.is_locked(longest, ctx.now()) {
        return Vec::new();
    }
    let mut changes = Vec::from([counted]);
    changes.extend(lock_ignored(ctx, &before, longest, user));
    if after.locks > before.locks {
        let (subject, refusal) = (Some(user.clone()), Some(why));
        changes.push(Change::Audit(Event { subject, refusal, ..ctx.event(Kind::Locked) }));
    }
    changes
}
