//! The store that is tested: records in memory. The crate that tests another engine has a module of the same name, and the same tests.

pub(crate) use gatepass_tests::memory::Memory as TestedStore;

/// Returns how many of `count` cases are tried: all of them.
pub(crate) const fn fewer(count: u64) -> u64 {
    count
}

/// Returns those of `all` that are tried: all of them.
pub(crate) fn some<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter()
}
