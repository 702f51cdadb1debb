//! Ticket sign-in where every sync takes 5 ms: the gain from sharing one, and the delay for others.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use gatepass_tests::http::TestRequest;

use super::{load, sign_ins};
use crate::measured_server::MeasuredServer;
use crate::meter::Spread;

const SYNC: Duration = Duration::from_millis(5);
const REDEEMERS: usize = 128;

/// Measures and prints.
pub(crate) fn print(runs: usize, count: usize) {
    println!(
        "Each sync takes {} ms longer; EdDSA, medians of {runs} runs (least–greatest)\n",
        SYNC.as_millis()
    );
    let served = MeasuredServer::new(&[], SYNC);
    served.sign_by("EdDSA");
    let alone_count = 100;
    let (mut alone, mut together, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let requests = sign_ins(&served, alone_count + count);
        let (first, others) = requests.split_at(alone_count);
        let syncs = served.syncs.count();
        alone.push(load(&served, first, alone_count, 1).rate());
        assert!(served.syncs.count() - syncs >= alone_count as u64, "one commit for each sign-in");
        // Another client sends requests that need no sync.
        let over = AtomicBool::new(false);
        let asked = [TestRequest::new("GET", "/.well-known/jwks.json").bytes(served.address())];
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut slowest = Vec::new();
                while !over.load(Relaxed) {
                    slowest.push(load(&served, &asked, 50, 1).percentile(0.5));
                }
                Spread::of(slowest).median
            });
            let redeemed =
                std::panic::catch_unwind(AssertUnwindSafe(|| load(&served, others, count, REDEEMERS)));
            over.store(true, Relaxed);
            together.push(redeemed.expect("every ticket is redeemed").rate());
            beside.push(other.join().expect("it was answered"));
        });
    }
    let ratio = Spread::of(alone.iter().zip(&together).map(|(alone, together)| together / alone));
    println!("one commit for each sign-in: {} sign-ins/s", Spread::of(alone));
    println!("{REDEEMERS} redeemers: {} sign-ins/s", Spread::of(together));
    println!("that is {:.1} ({:.1}–{:.1}) times as many", ratio.median, ratio.least, ratio.greatest);
    println!("the key set, asked for meanwhile: p50 {:.2} ms\n", Spread::of(beside).median);
}
