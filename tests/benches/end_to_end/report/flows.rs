//! Every flow beside its bound.

use std::time::Duration;

use super::CONNECTIONS;
use crate::flows::{Flow, IssuedCredentials};
use crate::generator::{Load, Outcome};
use crate::measured_server::{MeasuredServer, now};
use crate::meter::{Spread, cores, cpu, cpu_of, resident};
use crate::parts::{self, FixedAnswerServer, Parts};

/// The number of requests on which the parts are measured.
const SAMPLE: usize = 1024;
/// The factor by which more fixed answers are measured than others: they are fast, and their times vary.
const FIXED: usize = 4;

/// One measurement of a flow.
struct Figures {
    outcome: Outcome,
    /// Microseconds of processor time for each request, including the load generator's.
    cpu: f64,
    syncs: u64,
    parts: Parts,
}

impl Figures {
    /// Returns the requests a second that the parts allow on all cores.
    fn bound(&self) -> f64 {
        cores() as f64 * 1e6 / self.parts.sum()
    }
}

/// Measures and prints.
pub(crate) fn print(runs: usize, count: usize, algorithms: &[String]) {
    println!(
        "{CONNECTIONS} keep-alive connections, {count} requests a run, medians of {runs} runs (least–greatest)"
    );
    println!("* durable: each answer's changes were synced to the disk before it left\n");
    println!(
        "| flow | key | requests/s | of its bound | bound/s | p50 ms | p99 ms | p99.9 ms | CPU µs | front | sign | verify | read | rows | syncs/request | RSS MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let served = MeasuredServer::new(&[], Duration::ZERO);
    for algorithm in algorithms {
        served.sign_by(algorithm);
        let count =
            if algorithm.starts_with("RS") || algorithm.starts_with("PS") { count / 2 } else { count };
        let mut measured: Vec<Vec<Figures>> = Flow::ALL.iter().map(|_| Vec::new()).collect();
        for _ in 0..runs {
            let mut credentials = IssuedCredentials::default();
            for (flow, figures) in Flow::ALL.into_iter().zip(&mut measured) {
                figures.push(measure(&served, &mut credentials, flow, count));
            }
        }
        for (flow, figures) in Flow::ALL.into_iter().zip(&measured) {
            row(flow, algorithm, figures, resident(served.running.id()));
        }
    }
    println!();
}

fn measure(
    served: &MeasuredServer,
    credentials: &mut IssuedCredentials,
    flow: Flow,
    count: usize,
) -> Figures {
    // Each flow leaves the next one its requests and its sample. Nothing is used twice.
    let count = match flow {
        Flow::GenerateTicket => count + 2 * SAMPLE,
        Flow::SignIn => count + SAMPLE,
        Flow::ClientCredentials | Flow::Refresh | Flow::Userinfo | Flow::Introspection => count,
    };
    let requests = credentials.requests(flow, served, count + SAMPLE);
    let (sample, requests) = requests.split_at(SAMPLE.min(requests.len()));
    let requests = if requests.is_empty() { sample } else { requests };
    let (store, engine, key) = served.parts();
    let (read, rows) = parts::of_the_store(&engine, &store, now(), sample);
    let token = served.target().service_token("ticket:issue");
    let (signature, verification) = parts::of_the_key(&key, &token);

    // The bodies of fixed answers are kept as well: the generator does the same for them.
    let load = |address, count| Load { address, requests, count, connections: CONNECTIONS, keep: true };
    let (syncs, both) = (served.syncs.count(), || cpu_of(served.running.id()) + cpu());
    let before = both();
    let outcome = load(served.address(), count).run();
    let spent = both() - before;
    let syncs = served.syncs.count() - syncs;
    credentials.keep(flow, &outcome.bodies);

    let fixed = FixedAnswerServer::start(outcome.body_bytes);
    load(fixed.address, count / 4).run();
    let both = || cpu_of(fixed.id()) + cpu();
    let before = both();
    load(fixed.address, FIXED * count).run();
    let front = (both() - before).as_secs_f64() * 1e6 / (FIXED * count) as f64;

    let parts = Parts {
        front,
        signature: if flow.signs() { signature } else { 0.0 },
        verification: if flow.verifies() { verification } else { 0.0 },
        read,
        rows,
    };
    Figures { outcome, cpu: spent.as_secs_f64() * 1e6 / count as f64, syncs, parts }
}

fn row(flow: Flow, algorithm: &str, figures: &[Figures], resident: f64) {
    let spread = |of: &dyn Fn(&Figures) -> f64| Spread::of(figures.iter().map(of));
    let median = |of: &dyn Fn(&Figures) -> f64| spread(of).median;
    let rate = spread(&|f| f.outcome.rate());
    let share = spread(&|f| 100.0 * f.outcome.rate() / f.bound());
    println!(
        "| {} | {algorithm} | {:.0} ({:.0}–{:.0}) | {:.0} % ({:.0}–{:.0}) | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.3} | {resident:.1} |",
        flow.name(),
        rate.median,
        rate.least,
        rate.greatest,
        share.median,
        share.least,
        share.greatest,
        median(&Figures::bound),
        median(&|f| f.outcome.percentile(0.5)),
        median(&|f| f.outcome.percentile(0.99)),
        median(&|f| f.outcome.percentile(0.999)),
        median(&|f| f.cpu),
        median(&|f| f.parts.front),
        median(&|f| f.parts.signature),
        median(&|f| f.parts.verification),
        median(&|f| f.parts.read),
        median(&|f| f.parts.rows),
        median(&|f| f.syncs as f64 / f.outcome.latencies.len() as f64),
    );
}
