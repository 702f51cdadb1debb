//! The contract of a store: what it is asked, what it is given to write, and the two verbs it has to know.

pub mod archive_request;
pub mod audit;
pub mod audit_filter;
pub mod change;
pub mod page;
pub mod query;

#[cfg(feature = "check")]
pub mod check;
#[cfg(feature = "memory")]
pub mod memory;

use alloc::sync::Arc;

use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query};

/// The version of the contract between the core and a store: of [`Query`], [`Change`] and the records they
/// carry. Both enums are exhaustive on purpose: a store that matches them without `_` does not compile until it knows a new one. A
/// release that adds a variant, or changes what one means, raises this number and the crate's minor version.
pub const CONTRACT_VERSION: u32 = 2;

/// A store of the records. See `docs/embedding.md` for the contract, change by change.
pub trait Store {
    /// Answers `query` from one consistent snapshot. A failed read is an answer too:
    /// [`Records::Unreadable`](crate::store::query::Records::Unreadable).
    fn read(&self, query: &Query) -> Found;

    /// Applies all of `changes` durably, in one transaction and in order, or none of them.
    fn commit(&self, changes: &Arc<[Change]>) -> Outcome;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn read(&self, query: &Query) -> Found {
        (**self).read(query)
    }

    fn commit(&self, changes: &Arc<[Change]>) -> Outcome {
        (**self).commit(changes)
    }
}
