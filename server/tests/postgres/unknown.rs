//! A commit whose answer is lost is answered as the database shows, and as unknown where that cannot be found out.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use gatepass_core::store::change::{Change, Outcome};

use crate::cluster::{Cluster, address};
use crate::fixture::ticket;
use crate::records::{Process, redemption};
use crate::relay::{Fault, Relay};
use crate::session::Session;
use crate::triggers::HeldWrites;

/// A process that reaches its server by a relay, and a connection past it.
struct Distant {
    cluster: Cluster,
    relay: Relay,
    process: Arc<Process>,
    session: Session,
}

impl Distant {
    fn new() -> Self {
        let cluster = Cluster::start();
        let database = cluster.database();
        let relay = Relay::to(cluster.path());
        let process = Arc::new(Process::command(&address(&[relay.path()], &database)).with_records());
        let session = Session::open(&cluster.url(&database));
        Self { cluster, relay, process, session }
    }

    /// Issues a ticket without a fault.
    fn issue(&self, number: u64) {
        self.relay.next_commits([]);
        assert_eq!(self.process.commit([Change::InsertTicket(ticket(number))]), Outcome::Applied);
    }

    /// Returns what the database shows of the redemption of a ticket.
    fn shown(&self, number: u64) -> Outcome {
        let spent = format!("SELECT spent_at IS NOT NULL FROM tickets WHERE id = 'tid_{number}'");
        let opened = format!("SELECT EXISTS (SELECT FROM sessions WHERE id = 'ses_{number}')");
        let (spent, opened) = (self.session.value(&spent), self.session.value(&opened));
        assert_eq!(spent, opened);
        if spent == "t" { Outcome::Applied } else { Outcome::NotApplied }
    }

    /// Waits until a statement of a store waits for something of this kind.
    fn wait_for(&self, kind: &str, statement: &str) {
        self.session.wait_until(&format!(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'gatepass' AND wait_event = '{kind}' AND \
             query LIKE '{statement}%')"
        ));
    }

    /// Gives up the wait for the standby, as an administrator of the server does.
    fn cancel_wait(&self) {
        self.session
            .run(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'gatepass' AND \
                 wait_event = 'SyncRep'",
            )
            .unwrap();
    }
}

/// Every sequence of faults of the commit, of its resolution, and of what follows that.
fn sequences() -> impl Iterator<Item = [Fault; 4]> {
    let cuts = [Fault::CutBefore, Fault::CutAfter, Fault::CutAtOnce];
    let faults = [Fault::None, Fault::CutBefore, Fault::CutAfter];
    cuts.into_iter().flat_map(move |first| {
        faults.into_iter().flat_map(move |second| {
            faults
                .into_iter()
                .flat_map(move |third| faults.into_iter().map(move |last| [first, second, third, last]))
        })
    })
}

#[test]
fn an_answer_that_is_lost_is_found_out() {
    let distant = Distant::new();
    for (number, faults) in (0..).zip(sequences()) {
        distant.issue(number);
        distant.relay.next_commits(faults);
        let outcome = distant.process.commit(redemption(number, number));
        let shown = distant.shown(number);
        assert_eq!(outcome, shown, "{faults:?}");
        match faults[0] {
            Fault::CutAfter => assert_eq!(outcome, Outcome::Applied, "{faults:?}"),
            Fault::CutBefore => assert_eq!(outcome, Outcome::NotApplied, "{faults:?}"),
            // The server and the resolution race.
            Fault::CutAtOnce | Fault::None | Fault::Close | Fault::Silence | Fault::Panic => {}
        }
    }
}

#[test]
fn a_server_that_fails_as_it_commits_may_have_committed() {
    let distant = Distant::new();
    distant.issue(1);
    distant.relay.next_commits([Fault::Panic]);
    assert_eq!(distant.process.commit(redemption(1, 1)), Outcome::Applied);
    assert_eq!(distant.shown(1), Outcome::Applied);
}

#[test]
fn the_resolution_waits_for_a_commit_that_is_under_way() {
    at_once([true, false].map(|goes_through| {
        move || {
            let distant = Distant::new();
            distant.issue(1);
            let commits = HeldWrites::at_commit(&distant.session);
            commits.close();
            thread::scope(|scope| {
                let committed = scope.spawn(|| distant.process.commit(redemption(1, 1)));
                // The store has given up the connection after its own time, and the server goes on.
                distant.wait_for("transactionid", "INSERT INTO commits");
                commits.wait_until_held();
                assert!(!committed.is_finished());
                if goes_through {
                    commits.open();
                } else {
                    commits.terminate();
                }
                let outcome = committed.join().unwrap();
                assert_eq!(outcome, distant.shown(1));
                assert_eq!(outcome == Outcome::Applied, goes_through);
            });
        }
    }));
}

/// Runs tests that wait most of their time.
fn at_once(tests: impl IntoIterator<Item = impl FnOnce() + Send>) {
    thread::scope(|scope| tests.into_iter().for_each(|test| drop(scope.spawn(test))));
}

/// The longest time that a commit may take until it is answered, whatever happens. A store takes half of it at most.
const LONGEST: Duration = Duration::from_secs(90);

#[test]
fn a_connection_that_falls_silent_is_given_up() {
    at_once(["SET", "BEGIN", "COMMIT", "ROLLBACK", "COMMIT of the resolution"].map(|statement| {
        move || {
            let distant = Distant::new();
            distant.issue(1);
            let redeemed = if statement == "ROLLBACK" { 2 } else { 1 };
            let (answer, answered) = channel();
            match statement {
                "COMMIT" => distant.relay.next_commits([Fault::Silence]),
                "COMMIT of the resolution" => {
                    distant.relay.next_commits([Fault::Silence, Fault::Silence]);
                }
                // A new connection begins with its settings.
                "SET" => {
                    distant.relay.silence_at(statement);
                    distant.relay.cut();
                }
                _ => distant.relay.silence_at(statement),
            }
            let process = Arc::clone(&distant.process);
            thread::spawn(move || answer.send(process.commit(redemption(redeemed, 1))));
            let outcome = answered.recv_timeout(LONGEST).expect(statement);
            assert_eq!(outcome, if redeemed == 2 { Outcome::Conflict } else { Outcome::NotApplied });
            assert_eq!(distant.shown(1), Outcome::NotApplied);
            assert_eq!(distant.process.commit(redemption(1, 2)), Outcome::Applied);
        }
    }));
}

#[test]
fn a_commit_that_the_standby_may_not_have_is_answered_once_it_has() {
    let distant = Distant::new();
    let standby = distant.cluster.standby();
    distant.cluster.wait_for_standbys();
    distant.issue(1);
    standby.crash();
    thread::scope(|scope| {
        let committed = scope.spawn(|| distant.process.commit(redemption(1, 1)));
        distant.wait_for("SyncRep", "COMMIT");
        assert_eq!(distant.shown(1), Outcome::NotApplied);
        distant.cancel_wait();
        // The commit is there now, and is not told: a commit of the resolution's own waits for the standby.
        distant.wait_for("SyncRep", "COMMIT");
        distant.session.wait_until("SELECT spent_at IS NOT NULL FROM tickets WHERE id = 'tid_1'");
        assert!(!committed.is_finished());
        standby.start_again();
        assert_eq!(committed.join().unwrap(), Outcome::Applied);
    });
}

#[test]
fn a_commit_that_the_standby_does_not_get_stays_unknown() {
    let distant = Distant::new();
    let standby = distant.cluster.standby();
    distant.cluster.wait_for_standbys();
    distant.issue(1);
    standby.crash();
    thread::scope(|scope| {
        let committed = scope.spawn(|| distant.process.commit(redemption(1, 1)));
        while !committed.is_finished() {
            distant.cancel_wait();
        }
        assert_eq!(committed.join().unwrap(), Outcome::Unknown);
    });
    assert_eq!(distant.shown(1), Outcome::Applied);
}
