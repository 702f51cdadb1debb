//! The contract of a store: what it is asked, what it is given to write, and the two verbs it has to know.

pub mod audit;
pub mod change;
pub mod query;

use alloc::sync::Arc;

use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query};

/// Where the records are kept.
pub trait Store {
    /// Answers `query` from one consistent snapshot. A failed read is an answer too:
    /// [`Records::Unreadable`](crate::store::query::Records::Unreadable).
    fn read(&self, query: &Query) -> Found;

    /// Applies all of `changes` durably, in one transaction and in order, or none of them.
    fn commit(&self, changes: &Arc<[Change]>) -> Outcome;
}
