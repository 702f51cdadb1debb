//! Shared by the tests: a store in memory, and the harness that runs the real binary.

pub mod memory;
