//! The two verbs a store has to know.

use alloc::sync::Arc;

use crate::model::change::{Change, Outcome};
use crate::model::query::{Found, Query};

/// Where the records are kept.
pub trait Store {
    /// Answers `query` from one consistent snapshot. A failed read is an answer too:
    /// [`Records::Unreadable`](crate::model::query::Records::Unreadable).
    fn read(&self, query: &Query) -> Found;

    /// Applies all of `changes` durably, in one transaction and in order, or none of them.
    fn commit(&self, changes: &Arc<[Change]>) -> Outcome;
}
