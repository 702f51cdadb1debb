//! The threads of a server: their names, and how many there are.

use std::thread::Builder;

/// Returns a builder of a thread with this name. All names have one scheme, so that `top -H` shows them together.
pub(crate) fn named(name: impl std::fmt::Display) -> Builder {
    Builder::new().name(format!("gatepass/{name}"))
}

/// Returns one more than there are processors: each worker takes its share of the waiting requests, and larger shares
/// cost less.
pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get) + 1
}
