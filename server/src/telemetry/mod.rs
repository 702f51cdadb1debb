//! The reports of the server: log lines, counts of refusals, and metrics.

pub mod log;
pub mod metrics;
pub mod refusal_counts;
