//! The engine's part in copying a whole store: as the source, in one snapshot, and as the target, in one transaction.

mod session;
mod source;
mod target;

pub(super) use session::Session;
pub(in crate::store) use source::PostgresSource;
pub(in crate::store) use target::PostgresTarget;
