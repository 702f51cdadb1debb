//! How fast and how small: the real binary under a load of real HTTP/1.1 connections.
//!
//! `cargo bench -p gatepass-tests --bench end_to_end` measures every flow beside its *bound*: the processor time of its
//! parts measured alone in the same run, spread over all cores. See `--help` for the other reports.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what is not as expected cannot be measured"
)]

mod disk;
mod flows;
mod generator;
mod measured_server;
mod meter;
mod parts;
mod report;

use clap::{Parser, ValueEnum};

/// Measures the real binary on a directory of its own.
#[derive(Debug, Parser)]
#[command(name = "end_to_end")]
struct Arguments {
    /// What to measure
    #[arg(value_enum, default_value = "flows")]
    report: Report,
    /// How often, each time beside its bound or its opposite
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How many requests in a run, thousands
    #[arg(long, default_value_t = 10)]
    thousands: usize,
    /// Only flows by keys of these algorithms
    #[arg(long, value_delimiter = ',', default_values_t = ["RS256", "EdDSA", "ES256", "HS256"].map(String::from))]
    algorithms: Vec<String>,
    /// The bytes of a fixed answer
    #[arg(hide = true)]
    bytes: Option<usize>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Report {
    /// Every flow: requests a second, latencies, and its share of what its parts allow
    Flows,
    /// Ticket sign-in by 1 to 256 redeemers at once
    Curve,
    /// Ticket sign-in where each sync of the disk takes 5 ms
    SlowDisk,
    /// Memory, the binary's size and the cold start
    Footprint,
    /// A file of ten million spent tickets, a million people and 100 000 clients beside an empty one
    Scale,
    /// All of these
    All,
    #[value(name = parts::FIXED, hide = true)]
    FixedAnswerServer,
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.report == Report::FixedAnswerServer {
        return parts::serve_fixed(arguments.bytes.unwrap_or_default());
    }
    println!("{}\n", meter::machine());
    let is = |report| arguments.report == report || arguments.report == Report::All;
    let (runs, count) = (arguments.runs.max(1), arguments.thousands.max(1) * 1000);
    if is(Report::Flows) {
        report::flows::print(runs, count, &arguments.algorithms);
    }
    if is(Report::Curve) {
        report::curve::print(runs, count);
    }
    if is(Report::SlowDisk) {
        report::slow_disk::print(runs, count);
    }
    if is(Report::Footprint) {
        report::footprint::print(runs, count);
    }
    if is(Report::Scale) {
        report::scale::print(runs, count);
    }
}
