//! Ticket sign-in by an increasing number of concurrent redeemers.

use std::time::Duration;

use super::{load, sign_ins};
use crate::measured_server::MeasuredServer;
use crate::meter::{Spread, resident};

/// Measures and prints.
pub(crate) fn print(runs: usize, count: usize) {
    println!("Ticket sign-in, durable, EdDSA, medians of {runs} runs (least–greatest)\n");
    println!("| redeemers | sign-ins/s | p50 ms | p99 ms | sign-ins a sync | RSS MiB |");
    println!("|---|---|---|---|---|---|");
    let served = MeasuredServer::new(&[], Duration::ZERO);
    served.sign_by("EdDSA");
    for redeemers in [1, 2, 4, 8, 16, 32, 64, 128, 256] {
        let count = count.min(redeemers * 500);
        let figures: Vec<_> = (0..runs)
            .map(|_| {
                let requests = sign_ins(&served, count);
                let before = served.syncs.count();
                let outcome = load(&served, &requests, count, redeemers);
                (outcome, count as f64 / (served.syncs.count() - before) as f64)
            })
            .collect();
        let rate = Spread::of(figures.iter().map(|(outcome, _)| outcome.rate()));
        let median = |share| Spread::of(figures.iter().map(|(outcome, _)| outcome.percentile(share))).median;
        println!(
            "| {redeemers} | {rate} | {:.2} | {:.2} | {:.1} | {:.1} |",
            median(0.5),
            median(0.99),
            Spread::of(figures.iter().map(|(_, together)| *together)).median,
            resident(served.running.id()),
        );
    }
    println!();
}
