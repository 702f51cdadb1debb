//! A case: what is written first, one commit, and what has to come of it.

use alloc::vec::Vec;

use crate::store::change::{Change, Outcome};
use crate::store::check::sample::Sample;

/// One commit that a store is held to.
pub(super) struct Case {
    /// Written one by one before, which has to succeed.
    pub(super) before: Vec<Change>,
    /// The commit. Without changes, the case is about what is read after `before`.
    pub(super) changes: Vec<Change>,
    /// The outcome that it must have.
    pub(super) outcome: Outcome,
}

impl Case {
    /// A commit whose conditions hold.
    pub(super) fn applies(
        before: impl IntoIterator<Item = Change>,
        changes: impl IntoIterator<Item = Change>,
    ) -> Self {
        let (before, changes) = (before.into_iter().collect(), changes.into_iter().collect());
        Self { before, changes, outcome: Outcome::Applied }
    }

    /// A commit whose last condition does not hold.
    pub(super) fn conflicts(
        before: impl IntoIterator<Item = Change>,
        changes: impl IntoIterator<Item = Change>,
    ) -> Self {
        Self { outcome: Outcome::Conflict, ..Self::applies(before, changes) }
    }

    /// Nothing but what is found after `before`.
    pub(super) fn reads(before: impl IntoIterator<Item = Change>) -> Self {
        Self::applies(before, [])
    }
}

/// A case, and what happens in it.
pub(super) type Entry = (&'static str, fn(&Sample) -> Case);
