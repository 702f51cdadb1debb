//! The core's examples, run as they stand.
#![allow(clippy::panic, reason = "an example that fails is a failed test")]
#![allow(unreachable_pub, reason = "the main function of an example is called from here")]

#[path = "../../core/examples/blocking.rs"]
mod blocking;
#[path = "../../core/examples/tokio.rs"]
mod in_tokio;

#[test]
fn the_blocking_example_runs() {
    blocking::main().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_tokio_example_runs() {
    in_tokio::main().unwrap_or_else(|error| panic!("{error}"));
}
