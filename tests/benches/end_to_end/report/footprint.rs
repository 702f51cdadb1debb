//! Memory, size and cold start of the release build and of the `small` profile.

use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gatepass_tests::http::TestRequest;
use gatepass_tests::server::{Running, built_as};

use super::{CONNECTIONS, load, sign_ins};
use crate::flows::{Flow, IssuedCredentials};
use crate::measured_server::MeasuredServer;
use crate::meter::{Spread, resident};

const IDLE: usize = 1000;

/// Measures and prints.
pub(crate) fn print(runs: usize, count: usize) {
    println!("Medians of {runs} runs (least–greatest)\n");
    println!(
        "| profile | binary MiB | cold start ms | RSS MiB idle | {CONNECTIONS} connections under load | {IDLE} idle connections | client credentials/s, EdDSA | ticket sign-ins/s, EdDSA |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for profile in ["release", "small"] {
        row(profile, &built_as(profile), runs, count);
    }
    println!();
}

fn row(profile: &str, binary: &Path, runs: usize, count: usize) {
    let size = binary.metadata().expect("the binary").len() as f64 / 1024.0 / 1024.0;
    let mut served = MeasuredServer::by(binary, &["--connections", "1100"], Duration::ZERO);
    served.sign_by("EdDSA");
    let cold = Spread::of((0..runs.max(5)).map(|_| {
        let command = served.installation.command_of(binary, &["--json", "serve", "--listen", "127.0.0.1:0"]);
        let begin = Instant::now();
        let running = Running::start(command, Stdio::null());
        let answer = TestRequest::new("GET", "/healthz").to(running.address);
        assert_eq!(answer.status, 200);
        begin.elapsed().as_secs_f64() * 1000.0
    }));
    let (mut idle, mut crowd, mut loaded) = (Vec::new(), Vec::new(), Vec::new());
    let (mut fetched, mut signed_in) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        served.restart();
        idle.push(resident(served.running.id()));
        let connections: Vec<TcpStream> =
            (0..IDLE).map(|_| TcpStream::connect(served.address()).expect("room")).collect();
        // Once this is answered, the last one is written.
        assert_eq!(TestRequest::new("GET", "/healthz").to(served.address()).status, 200);
        crowd.push(resident(served.running.id()));
        drop(connections);
        served.restart();
        let requests = IssuedCredentials::default().requests(Flow::ClientCredentials, &served, 1);
        fetched.push(load(&served, &requests, count, CONNECTIONS).rate());
        let requests = sign_ins(&served, count);
        signed_in.push(load(&served, &requests, count, CONNECTIONS).rate());
        loaded.push(resident(served.running.id()));
    }
    let mib = |figures: Vec<f64>| format!("{:.1}", Spread::of(figures).median);
    println!(
        "| {profile} | {size:.2} | {:.1} ({:.1}–{:.1}) | {} | {} | {} | {} | {} |",
        cold.median,
        cold.least,
        cold.greatest,
        mib(idle),
        mib(loaded),
        mib(crowd),
        Spread::of(fetched),
        Spread::of(signed_in),
    );
}
