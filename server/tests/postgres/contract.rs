//! The database keeps the contract of the core's store, alone and under several threads.

use gatepass_core::store::check::{check_races, check_store};

use crate::cluster::Fixture;

#[test]
fn the_database_keeps_every_promise_of_the_contract() {
    let fixture = Fixture::empty();
    let report = check_store(&fixture.store()).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{report}");
}

#[test]
fn commits_to_the_database_do_not_mix() {
    let fixture = Fixture::empty();
    let at_once = |jobs: &[&(dyn Fn() + Sync)]| {
        std::thread::scope(|scope| jobs.iter().for_each(|job| drop(scope.spawn(job))));
    };
    let report = check_races(&fixture.store(), at_once).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{report}");
}
