//! The reports of the server: log lines, and counts of refusals.

pub mod log;
pub mod refusal_counts;
