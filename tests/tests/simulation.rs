//! Worlds of hundreds of clients in which everything fails that can: no promise breaks, whatever the seed.
//!
//! `GATEPASS_SEEDS=100000` runs as many worlds, `GATEPASS_SEED=4711` runs one and prints its trace.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed expectation is a failed test, and a trace is there to be read"
)]

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};

use gatepass_tests::simulation::{Coverage, Report, run};

const SEEDS: u64 = 1_000;
/// From this many seeds on, every kind of fault must have occurred.
const ENOUGH: u64 = 1_000;
/// The number of trace lines printed of a failing seed.
const LAST_LINES: usize = 80;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, and not {text:?}")))
}

/// Runs the world of `seed`. Returns an error for a broken promise.
fn live(seed: u64) -> Result<Coverage, String> {
    match catch_unwind(|| run(seed, false)) {
        Err(_) => Err("the core panics".into()),
        Ok(Report { clients, .. }) if clients < 200 => Err(format!("{clients} clients are too few")),
        Ok(Report { broken: Some(broken), .. }) => Err(broken),
        Ok(Report { coverage, .. }) => Ok(coverage),
    }
}

fn fail(seed: u64, broken: &str) -> ! {
    let trace = catch_unwind(|| run(seed, true).trace).unwrap_or_default();
    let from = trace.len().saturating_sub(LAST_LINES);
    for line in trace.iter().skip(from) {
        println!("{line}");
    }
    panic!(
        "seed {seed}: {broken}\nthe whole trace: GATEPASS_SEED={seed} cargo test -p gatepass-tests --test simulation -- --nocapture"
    )
}

#[test]
fn no_promise_breaks_whatever_fails() {
    if let Some(seed) = number("GATEPASS_SEED") {
        let Report { trace, broken, .. } = run(seed, true);
        println!("{}", trace.join("\n"));
        assert_eq!(broken, None, "seed {seed}");
        return;
    }
    let seeds = number("GATEPASS_SEEDS").unwrap_or(SEEDS);
    let (next, total) = (AtomicU64::new(0), Mutex::new(Coverage::default()));
    let first_broken = Mutex::new(None::<(u64, String)>);
    scope(|threads| {
        for _ in 0..available_parallelism().map_or(1, Into::into) {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || first_broken.lock().expect("a lock").is_some() {
                        return;
                    }
                    match live(seed) {
                        Ok(coverage) => total.lock().expect("a lock").add(&coverage),
                        Err(broken) => *first_broken.lock().expect("a lock") = Some((seed, broken)),
                    }
                }
            });
        }
    });
    if let Some((seed, broken)) = first_broken.into_inner().expect("a lock") {
        fail(seed, &broken);
    }
    let total = total.into_inner().expect("a lock");
    println!("{seeds} seeds met\n{total}");
    assert!(seeds < ENOUGH || total.missing().is_empty(), "{seeds} seeds never met {:?}", total.missing());
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 0..5 {
        let (one, other) = (run(seed, true), run(seed, true));
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!(one.coverage, run(seed, false).coverage, "seed {seed}: looking changes it");
    }
}
