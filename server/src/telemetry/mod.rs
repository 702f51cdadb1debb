//! What the server reports of itself: log lines, and counts of refusals.

pub mod log;
pub mod refusal_counts;
