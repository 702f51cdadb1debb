//! Shared by the tests: the harness that runs the real binary.
