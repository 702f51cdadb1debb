//! A ticket is redeemed once, by whichever of several processes, whatever happens to the connections and to the database.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Cluster, address};
use crate::load::redeem;
use crate::records::Process;
use crate::relay::{Fault, Relay};
use crate::resolutions;
use crate::scale;

fn three(url: &str) -> [Process; 3] {
    let first = Process::first(url);
    let others = [url, url].map(|url| first.another(url));
    let [second, third] = others;
    [first, second, third]
}

#[test]
fn by_three_processes() {
    let cluster = Cluster::start();
    let url = cluster.url(&cluster.database());
    let summary = redeem(&three(&url), &url, scale(500, 5000), |_| {});
    println!("without faults: {summary}");
    assert_eq!((summary.not_applied, summary.unknown), (0, 0));
}

#[test]
fn while_connections_are_ended() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let url = cluster.url(&database);
    resolutions::watch();
    let mut times = 0;
    let summary = redeem(&three(&url), &url, scale(500, 5000), |progress| {
        while progress.reach(500 * (times + 1)) {
            cluster.terminate_backends(&database);
            times += 1;
        }
    });
    println!("{times} times with every connection ended: {summary}; {}", resolutions::told(&database));
    assert!(times > 10);
}

#[test]
fn while_the_database_crashes() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let url = cluster.url(&database);
    resolutions::watch();
    let mut times = 0;
    let summary = redeem(&three(&url), &url, scale(500, 5000), |progress| {
        while progress.reach(2000 * (times + 1)) {
            // One of its processes, or all of it: under load, which then waits.
            if times % 2 == 0 {
                cluster.kill_backend(&database);
                progress.while_paused(|| cluster.wait_until_up());
            } else {
                cluster.crash();
                progress.while_paused(|| cluster.start_again());
            }
            times += 1;
        }
    });
    println!("{times} crashes: {summary}; {}", resolutions::told(&database));
    assert!(times > 5);
}

#[test]
fn while_answers_are_lost() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let url = cluster.url(&database);
    resolutions::watch();
    let relays: Vec<Relay> = (0..3).map(|_| Relay::to(cluster.path())).collect();
    let through = |relay: &Relay| address(&[relay.path()], &database);
    let first = Process::first(&through(&relays[0]));
    let processes = [first.another(&through(&relays[1])), first.another(&through(&relays[2])), first];
    let cuts = Arc::new(std::sync::atomic::AtomicU64::new(0));
    for relay in &relays {
        let cuts = Arc::clone(&cuts);
        relay.plan(move |number| {
            let fault = Fault::of(number);
            cuts.fetch_add(u64::from(fault != Fault::None), std::sync::atomic::Ordering::Relaxed);
            fault
        });
    }
    relays[1].delay(Duration::from_micros(200));
    let summary = redeem(&processes, &url, scale(500, 5000), |_| {});
    let cuts = cuts.load(std::sync::atomic::Ordering::Relaxed);
    println!("{cuts} answers lost: {summary}; {}", resolutions::told(&database));
    let [written, not_written, _] = resolutions::of(&database);
    assert!(written > 0 && not_written > 0);
}
