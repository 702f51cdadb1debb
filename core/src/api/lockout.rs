//! Wrong codes and passwords, counted; and where that locks, a row of its own.

use alloc::vec::Vec;

use crate::api::context::Context;
use crate::policy::guess_counter::GuessCounter;
use crate::records::factor::LockoutOf;
use crate::records::id::UserId;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;

/// Returns the changes for a wrong guess; none while every guess is refused.
pub(crate) fn count_wrong(ctx: &Context, counter: &GuessCounter) -> Vec<Change> {
    if counter.is_locked(ctx.now()) {
        return Vec::new();
    }
    let (counted, locks) = counter.count_wrong(ctx.now());
    let mut changes = Vec::from([counted]);
    changes.extend(lock_ignored(ctx, counter));
    if locks {
        let refusal = match counter.of() {
            LockoutOf::Password => Refusal::PasswordLocked,
            LockoutOf::Factors => Refusal::FactorsLocked,
        };
        let (subject, refusal) = (Some(counter.user().clone()), Some(refusal));
        changes.push(Change::Audit(Event { subject, refusal, ..ctx.event(Kind::Locked) }));
    }
    changes
}

/// Returns the audit row about a lock that is dated ahead and did not count; none where there is no such lock.
pub(crate) fn lock_ignored(ctx: &Context, counter: &GuessCounter) -> Option<Change> {
    counter.is_dated_ahead(ctx.now()).then(|| date_ignored(ctx, counter.user()))
}

/// Returns the audit row about dates that lie ahead and did not count where `accepted` was written for a code; none where there are
/// none.
pub(crate) fn dates_ignored(ctx: &Context, counter: &GuessCounter, accepted: &[Change]) -> Option<Change> {
    let went_back =
        |change: &Change| matches!(change, Change::UseStep { step, before, .. } if before >= step);
    let ignored = counter.is_dated_ahead(ctx.now()) || accepted.iter().any(went_back);
    ignored.then(|| date_ignored(ctx, counter.user()))
}

fn date_ignored(ctx: &Context, user: &UserId) -> Change {
    Change::Audit(Event { subject: Some(user.clone()), ..ctx.event(Kind::DateIgnored) })
}
