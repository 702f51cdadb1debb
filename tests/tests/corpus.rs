//! Every fuzz target over its committed corpus, and over altered inputs, on the stable toolchain.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;

/// The targets that open or read a store for each input.
const SLOW: &[&str] = &["rows", "files"];

#[test]
fn every_target_accepts_its_corpus() {
    for (name, body) in targets::ALL {
        let corpus: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "fuzz", "corpus", name].iter().collect();
        let stride = if SLOW.contains(name) { 10 } else { 1 };
        let mut seeds = 0;
        for entry in fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
            let seed = fs::read(entry.expect("an entry").path()).expect("a seed");
            body(&seed);
            for cut in (0..seed.len().min(300)).step_by(stride) {
                body(&seed[..cut]);
                let mut bent = seed.clone();
                bent[cut] ^= 1 << (cut % 8);
                body(&bent);
            }
            seeds += 1;
        }
        println!("{name}: {seeds} seeds");
        assert!(seeds > 0, "{name} has no corpus");
    }
}
