//! The audit rows that somebody asks for, page by page.

use std::ops::RangeInclusive;

pub use gatepass_core::store::audit_filter::{AuditFilter, RefusalFilter};

use super::audit_chain::AuditRow;

/// The numbers of rows that have not been looked at yet.
pub type AuditSpan = RangeInclusive<u64>;

/// The end of a span at which its next rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOrder {
    /// The oldest rows first.
    OldestFirst,
    /// The newest rows first.
    NewestFirst,
}

/// Rows that were found, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The rows that are asked for, in the order asked for. There may be none although some are left.
    pub rows: Vec<AuditRow>,
    /// The numbers that are left; none at the end.
    pub rest: Option<AuditSpan>,
}
