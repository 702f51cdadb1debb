//! The file keeps the contract of the core's store, alone and under several threads.

use gatepass_core::store::check::{check_races, check_store};

use crate::fixture::Fixture;

#[test]
fn the_file_keeps_every_promise_of_the_contract() {
    let fixture = Fixture::empty();
    let store = fixture.store();
    let report = check_store(&store).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{report}");
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn commits_to_the_file_do_not_mix() {
    let fixture = Fixture::empty();
    let at_once = |jobs: &[&(dyn Fn() + Sync)]| {
        std::thread::scope(|scope| jobs.iter().for_each(|job| drop(scope.spawn(job))));
    };
    let report = check_races(&fixture.store(), at_once).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{report}");
}
