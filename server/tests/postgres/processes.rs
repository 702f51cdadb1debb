//! A ticket is redeemed once over HTTP, by whichever of three processes of the real binary, whatever becomes of them and of the database.

use std::thread::yield_now;
use std::time::{Duration, Instant};

use gatepass_tests::http::TestRequest;
use gatepass_tests::suite::sign_in;
use serde_json::json;

use crate::cluster::{Cluster, address};
use crate::failover::Pair;
use crate::fleet::Fleet;
use crate::load::{Progress, REDEEMERS};
use crate::redeemers::{Report, Tickets};
use crate::relay::{Fault, Relay};
use crate::{is_large, scale};

/// Redeems tickets at three processes while `meanwhile` runs. In a large run as many redeemers present each ticket at each process.
fn redeem(fleet: &Fleet, url: &str, meanwhile: impl FnOnce(&Progress) + Send) -> Report {
    let report =
        Tickets::issue(fleet, scale(30, 500)).redeem(url, scale(REDEEMERS, 3 * REDEEMERS), meanwhile);
    fleet.check();
    report
}

/// Calls `fault` with its number after each `answers` answers. Returns how often that was.
fn after_each(progress: &Progress, answers: u64, mut fault: impl FnMut(u64)) -> u64 {
    let mut times = 0;
    while progress.reach(answers * (times + 1)) {
        fault(times);
        times += 1;
    }
    times
}

/// Starts three processes at one address.
fn three(url: &str) -> Fleet {
    Fleet::start([url, url, url].map(str::to_owned))
}

#[test]
fn while_processes_are_killed() {
    let cluster = Cluster::start();
    let url = cluster.url(&cluster.database());
    let fleet = three(&url);
    let mut kills = 0;
    let report = redeem(&fleet, &url, |progress| {
        kills = after_each(progress, scale(300, 2000), |number| {
            let process = usize::try_from(number).unwrap() % fleet.size();
            fleet.kill(process);
            fleet.start_process(process);
        });
    });
    println!("{kills} processes killed: {report}");
    assert!(kills >= 3 && report.summary.unknown > 0);
}

#[test]
fn while_the_database_ends_connections_and_crashes() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let url = cluster.url(&database);
    let fleet = three(&url);
    let mut faults = 0;
    let report = redeem(&fleet, &url, |progress| {
        faults = after_each(progress, scale(300, 2000), |number| {
            // Under load, which then waits for the server.
            match number % 3 {
                0 => cluster.terminate_backends(&database),
                1 => {
                    cluster.kill_backend(&database);
                    progress.while_paused(|| cluster.wait_until_up());
                }
                // Also while it recovers from that.
                _ => progress.while_paused(|| {
                    cluster.crash();
                    cluster.start_again();
                }),
            }
        });
    });
    println!("{faults} times without a connection or a database: {report}");
    assert!(faults >= 3);
}

#[test]
fn while_answers_of_the_database_are_lost() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let relays: Vec<Relay> = (0..3).map(|_| Relay::to(cluster.path())).collect();
    let fleet = Fleet::start(relays.iter().map(|relay| address(&[relay.path()], &database)));
    let tickets = Tickets::issue(&fleet, scale(30, 500));
    for (relay, first) in relays.iter().zip(0..) {
        relay.delay(Duration::from_micros(100 * first));
        // For some seconds nothing goes through at the first one.
        let mut silence = (first == 0).then_some(Fault::Silence);
        relay.plan(move |number| silence.take().unwrap_or_else(|| Fault::of(number)));
    }
    let report = tickets.redeem(&cluster.url(&database), scale(REDEEMERS, 3 * REDEEMERS), |progress| {
        if is_large() {
            // The next commits redeem: the redeemers begin with another ticket.
            progress.reach(25 * 3 * REDEEMERS);
            cannot_find_out(&relays[2], &fleet, progress);
        }
    });
    println!("by way of relays: {report}");
    relays.iter().for_each(|relay| relay.next_commits([]));
    fleet.check();
    let [written, not_written, unknown] = report.lost;
    assert!(written > 0);
    assert_eq!((not_written > 0 || !is_large(), unknown > 0), (true, is_large()));
}

/// Lets a process find out nothing about a commit until it gives up, half a minute later.
fn cannot_find_out(relay: &Relay, fleet: &Fleet, progress: &Progress) {
    let mut next = Some(Fault::Close);
    relay.plan(move |number| next.take().unwrap_or_else(|| Fault::of(number)));
    wait_until(|| relay.is_closed());
    progress.while_paused(|| {
        wait_until(|| !fleet.errors(2, "the outcome of commits was lost").is_empty());
        relay.accept();
    });
}

/// Waits for something that no passing test waits long for.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(120), "it takes too long");
        yield_now();
    }
}

#[test]
fn while_a_synchronous_standby_takes_over() {
    println!("the standby took over: {}", takes_over(|_| {}));
}

#[test]
fn while_a_synchronous_standby_that_lagged_behind_takes_over() {
    let report = takes_over(|pair| pair.standby.stop_receiving());
    println!("the standby took over without the last commits: {report}");
    let [_, not_written, _] = report.lost;
    assert!(not_written > 0);
}

/// Redeems tickets until the primary is killed, after `before`, and the standby takes over.
fn takes_over(before: impl FnOnce(&Pair) + Send) -> Report {
    let pair = Pair::start();
    let fleet = three(&pair.url());
    let mut taken_over = false;
    let report = redeem(&fleet, &pair.standby.url(&pair.database), |progress| {
        taken_over = progress.reach(scale(600, 5000));
        before(&pair);
        // Under load, which then waits for the other server.
        pair.kill_primary();
        progress.while_paused(|| pair.standby.promote());
    });
    assert!(taken_over);
    report
}

const LOST: &str = "the database has lost commits that this process has seen applied";

#[test]
fn processes_that_live_on_find_and_tell_that_a_standby_lagged_behind() {
    finds_and_tells(&[2], &[]);
}

#[test]
fn a_process_that_starts_finds_and_tells_that_a_standby_lagged_behind() {
    finds_and_tells(&[0, 1, 2], &[2]);
}

/// Lets a standby take over that has not received the last redemptions. Some processes are stopped before, and some started after that.
fn finds_and_tells(stopped: &[usize], started: &[usize]) {
    let primary = Cluster::start();
    let standby = primary.standby();
    let database = primary.database();
    let fleet = three(&address(&[primary.path(), standby.path()], &database));
    let tickets = fleet.issue(6);
    primary.wait_until_received();
    standby.stop_receiving();
    // Answered, and on the primary alone.
    let tokens = [0, 1, 2].map(|process| {
        let answer = fleet.answer(process, &sign_in(&tickets[process]));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("access_token")
    });
    stopped.iter().for_each(|process| assert!(fleet.stop(*process)));
    primary.kill();
    standby.promote();
    started.iter().for_each(|process| fleet.start_process(*process));
    let running = (0..fleet.size()).filter(|process| !stopped.contains(process) || started.contains(process));
    for process in running {
        for ticket in &tickets {
            let answer = fleet.answer_when_ready(process, &sign_in(ticket));
            assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(40010)), "{answer:?}");
        }
        for token in &tokens {
            let request = TestRequest::new("GET", "/userinfo").bearer(token);
            assert_eq!(fleet.answer(process, &request).status, 401);
        }
    }
    // Two may find it at once: one of them ends what was issued before.
    let told: usize = (0..fleet.size()).map(|process| fleet.errors(process, LOST).len()).sum();
    assert!((1..=2).contains(&told), "{told}");
    let rows = fleet.json(0, &["audit", "list"]);
    let rows = rows.as_array().unwrap().iter().filter(|row| row["kind"] == "state.superseded");
    assert_eq!(rows.count(), 1);
    // What is issued from now on is good.
    let report = Tickets::issue(&fleet, 3).redeem(&standby.url(&database), 3, |_| {});
    assert_eq!((report.summary.applied, report.summary.unknown), (3, 0), "{report}");
    fleet.check();
}
