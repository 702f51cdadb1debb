//! The measures of a front.

use crate::measures::{Count, Level};

/// The measures of a front. The stock front has those of its own library, so it measures nothing.
#[derive(Debug, Default)]
pub struct FrontMeasures {
    /// Open connections.
    pub connections: Level,
    /// Connections that were closed to make room for others.
    pub closed_for_others: Count,
    /// Connections that were closed at once, because their address had as many as it may.
    pub turned_away: Count,
    /// Requests that are not answered yet.
    pub in_flight: Level,
    /// Requests that wait for a worker.
    pub waiting: Level,
    /// Requests that wait for the disk or for a password hash.
    pub parked: Level,
}
