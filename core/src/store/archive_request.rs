//! A request to archive audit rows.

use alloc::vec::Vec;

use crate::base::time::Time;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;

/// A request to write the audit rows that no archive has yet to a new file, and to record that.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchiveRequest {
    /// Only the rows before this time.
    pub before: Option<Time>,
    /// The conditions that must hold when it is recorded.
    pub conditions: Vec<Change>,
    /// The audit row that records it. The store adds which rows they are.
    pub event: Event,
}

impl ArchiveRequest {
    /// Makes a request of `now` without conditions.
    pub const fn new(before: Option<Time>, now: Time) -> Self {
        Self { before, conditions: Vec::new(), event: Event::new(Kind::AuditArchived, now) }
    }
}
