//! The server is lost, and its standby takes over: nothing is redeemed twice, and nothing that was answered is lost.

use std::thread;

use gatepass_core::store::change::{Change, Outcome};

use crate::cluster::{Cluster, address};
use crate::fixture::ticket;
use crate::history::Kept;
use crate::load::redeem;
use crate::records::{Process, redemption};
use crate::resolutions;
use crate::scale;
use crate::session::Session;

const WAITING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')";

/// A server and its synchronous standby.
pub(crate) struct Pair {
    pub(crate) primary: Cluster,
    pub(crate) standby: Cluster,
    pub(crate) database: String,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let primary = Cluster::start();
        let database = primary.database();
        let standby = primary.standby();
        primary.wait_for_standbys();
        Self { primary, standby, database }
    }

    /// Kills the primary as a commit waits for the standby, if one is seen to.
    pub(crate) fn kill_primary(&self) {
        let session = Session::open(&self.primary.url("postgres"));
        let _ = (0..50).any(|_| session.value(WAITING) == "t");
        self.primary.kill();
    }

    /// Returns the address at which a store finds the server that writes.
    pub(crate) fn url(&self) -> String {
        let hosts = address(&[self.primary.path(), self.standby.path()], &self.database);
        format!("{hosts}?target_session_attrs=read-write")
    }
}

#[test]
fn the_standby_takes_over_under_load() {
    for round in 0..scale(1, 10) {
        resolutions::watch();
        let pair = Pair::start();
        let first = Process::first(&pair.url());
        let processes = [first.another(&pair.url()), first.another(&pair.url()), first];
        let mut taken_over = false;
        let summary = redeem(&processes, &pair.standby.url(&pair.database), 500, |progress| {
            taken_over = progress.reach(1000 + 100 * round);
            // Under load, which then waits for the other server.
            pair.kill_primary();
            progress.while_paused(|| pair.standby.promote());
        });
        println!("the standby took over: {summary}; {}", resolutions::told(&pair.database));
        assert!(taken_over);
    }
}

#[test]
fn a_commit_that_only_the_lost_server_had_was_not_applied() {
    let pair = Pair::start();
    let process = Process::first(&pair.url());
    assert_eq!(process.commit([Change::InsertTicket(ticket(1))]), Outcome::Applied);
    pair.standby.crash();
    thread::scope(|scope| {
        let redeemed = scope.spawn(|| process.commit(redemption(1, 1)));
        // It is in the log of the server by now.
        Session::open(&pair.primary.url("postgres")).wait_until(WAITING);
        pair.primary.kill();
        pair.standby.start_again();
        pair.standby.promote();
        assert_eq!(redeemed.join().unwrap(), Outcome::NotApplied);
    });
    assert_eq!(Kept::read(&pair.standby.url(&pair.database)), Kept::default());
    assert_eq!(process.commit(redemption(1, 2)), Outcome::Applied);
}
