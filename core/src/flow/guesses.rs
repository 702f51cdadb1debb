//! Wrong codes and passwords, counted; and where that locks, a row of its own.

use alloc::vec::Vec;

use super::context::Context;
use crate::audit::{Event, Kind, Refusal};
use crate::model::change::Change;
use crate::model::factor::{Factors, Guesses};
use crate::model::id::UserId;
use crate::policy::password;

/// What is written when a code of `user` was wrong; nothing while the factors are locked.
pub(crate) fn count_wrong(ctx: &Context, factors: &Factors, user: &UserId) -> Vec<Change> {
    let (before, after) = (factors.guesses, factors.guesses.failed(ctx.now()));
    let counted = Change::SetGuesses { user: user.clone(), before, after };
    count(ctx, user, (before, after), counted, Refusal::FactorsLocked)
}

/// The same for a password.
pub(crate) fn count_wrong_password(ctx: &Context, before: Guesses, user: &UserId) -> Vec<Change> {
    let after = password::failed(before, ctx.now());
    let counted = Change::SetPasswordGuesses { user: user.clone(), before, after };
    count(ctx, user, (before, after), counted, Refusal::PasswordLocked)
}

fn count(
    ctx: &Context,
    user: &UserId,
    (before, after): (Guesses, Guesses),
    counted: Change,
    why: Refusal,
) -> Vec<Change> {
    if before.is_locked(ctx.now()) {
        return Vec::new();
    }
    let mut changes = Vec::from([counted]);
    if after.locks > before.locks {
        let (subject, refusal) = (Some(user.clone()), Some(why));
        changes.push(Change::Audit(Event { subject, refusal, ..ctx.event(Kind::Locked) }));
    }
    changes
}
