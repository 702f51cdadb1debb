//! The `gatepass` binary.
fn main() {}
