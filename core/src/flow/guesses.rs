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
    let before = factors.guesses;
    if before.is_locked(ctx.now()) {
        return Vec::new();
    }
    let after = before.failed(ctx.now());
    let counted = Change::SetGuesses { user: user.clone(), before, after };
    [Some(counted), locked(ctx, user, before, after, Refusal::FactorsLocked)].into_iter().flatten().collect()
}

/// The same for a password.
pub(crate) fn count_wrong_password(ctx: &Context, before: Guesses, user: &UserId) -> Vec<Change> {
    if before.is_locked(ctx.now()) {
        return Vec::new();
    }
    let after = password::failed(before, ctx.now());
    let counted = Change::SetPasswordGuesses { user: user.clone(), before, after };
    [Some(counted), locked(ctx, user, before, after, Refusal::PasswordLocked)].into_iter().flatten().collect()
}

fn locked(ctx: &Context, user: &UserId, before: Guesses, after: Guesses, why: Refusal) -> Option<Change> {
    (after.locks > before.locks).then(|| {
        let subject = Some(user.clone());
        Change::Audit(Event { subject, refusal: Some(why), ..ctx.event(Kind::Locked) })
    })
}
