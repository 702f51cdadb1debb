//! Redeemers on threads, and what happens to the database meanwhile.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use gatepass_core::store::change::{Change, Outcome};

use crate::fixture::ticket;
use crate::history::{Attempt, History, Kept, Summary, check};
use crate::records::{Process, redemption};
use crate::session::Session;

pub(crate) const REDEEMERS: u64 = 64;

/// The number of times that a ticket is presented at the end before it has to be answered.
const REPLAYS: u32 = 20;

/// The progress of the redeemers. They present each ticket together: none goes on before all were answered. The database fails after a
/// number of answers.
pub(crate) struct Progress {
    redeemers: u64,
    state: Mutex<State>,
    /// Wakes redeemers when something that they wait for has changed.
    go: Condvar,
    answered: Condvar,
}

#[derive(Default)]
struct State {
    answers: u64,
    paused: bool,
    /// The redeemers are through, or one has failed.
    over: bool,
}

impl Progress {
    fn of(redeemers: u64) -> Self {
        Self { redeemers, state: Mutex::default(), go: Condvar::new(), answered: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.go.notify_all();
        self.answered.notify_all();
    }

    /// Counts an answer.
    fn answer(&self) {
        let mut state = self.lock();
        state.answers += 1;
        if state.answers.is_multiple_of(self.redeemers) {
            self.go.notify_all();
        }
        self.answered.notify_all();
    }

    /// Waits until every redeemer is through with the tickets before this one.
    fn wait_for(&self, ticket: u64) {
        let waits =
            |state: &mut State| !state.over && (state.paused || state.answers < ticket * self.redeemers);
        drop(self.go.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until so many were answered. Returns false if the redeemers are through before.
    pub(crate) fn reach(&self, answers: u64) -> bool {
        let waits = |state: &mut State| !state.over && state.answers < answers;
        !self.answered.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner).over
    }

    /// Lets no redeemer begin another attempt while `work` runs. Those that have begun go on.
    pub(crate) fn while_paused(&self, work: impl FnOnce()) {
        self.change(|state| state.paused = true);
        work();
        self.change(|state| state.paused = false);
    }
}

/// Ends every wait: the redeemers are through, or one has failed.
struct Over<'p>(&'p Progress);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

/// Ends every wait if a redeemer fails.
struct Redeemer<'p>(&'p Progress);

impl Drop for Redeemer<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            drop(Over(self.0));
        }
    }
}

/// Issues `tickets`, and lets [`REDEEMERS`] present each of them, spread over `processes`, while `meanwhile` runs. In the end every ticket is
/// presented again to every process, and what was answered is compared with the database at `url`.
pub(crate) fn redeem(
    processes: &[Process],
    url: &str,
    tickets: u64,
    meanwhile: impl FnOnce(&Progress) + Send,
) -> Summary {
    let issued = (0..tickets).map(|number| Change::InsertTicket(ticket(number)));
    assert_eq!(processes[0].commit(issued), Outcome::Applied);
    let load = Load { tickets, redeemers: REDEEMERS, processes: processes.len() };
    let present = |session: u64, ticket: u64, process: usize| {
        processes[process % processes.len()].commit(redemption(ticket, session))
    };
    let attempts = load.run(&present, meanwhile);
    let summary = check(&attempts, &Kept::read(url)).unwrap_or_else(|broken| panic!("{broken:?}"));
    check_audit(url, &attempts);
    summary
}

/// The redemptions of a test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) tickets: u64,
    /// Each presents every ticket.
    pub(crate) redeemers: u64,
    /// Those that the redeemers are spread over.
    pub(crate) processes: usize,
}

impl Load {
    /// Lets the redeemers present every ticket, while `meanwhile` runs, and in the end every ticket once more at every process. `present`
    /// is given the number of the attempt, the ticket and the process. Returns every attempt.
    pub(crate) fn run(
        self,
        present: &(impl Fn(u64, u64, usize) -> Outcome + Sync),
        meanwhile: impl FnOnce(&Progress) + Send,
    ) -> Vec<Attempt> {
        let Self { tickets, redeemers, processes } = self;
        let (history, progress) = (History::default(), Progress::of(redeemers));
        let attempt = |redeemer: u64, ticket: u64, process: usize| {
            history.attempt(redeemer, ticket, |session| present(session, ticket, process))
        };
        thread::scope(|scope| {
            scope.spawn(|| meanwhile(&progress));
            let _over = Over(&progress);
            thread::scope(|scope| {
                for (redeemer, first) in (0..redeemers).zip(0..) {
                    let (progress, attempt) = (&progress, &attempt);
                    scope.spawn(move || {
                        let _redeemer = Redeemer(progress);
                        for (ticket, process) in (0..tickets).zip(first..) {
                            progress.wait_for(ticket);
                            let _ = attempt(redeemer, ticket, process % processes);
                            progress.answer();
                        }
                    });
                }
            });
        });
        for ticket in 0..tickets {
            for process in 0..processes {
                let answered =
                    |_| matches!(attempt(redeemers, ticket, process), Outcome::Applied | Outcome::Conflict);
                assert!((0..REPLAYS).any(answered), "ticket {ticket} is not answered any more");
            }
        }
        history.into_attempts()
    }
}

/// Checks that every success has its row in a chain, and nothing else has one.
fn check_audit(url: &str, attempts: &[Attempt]) {
    let session = Session::open(url);
    let tickets: std::collections::BTreeSet<u64> = attempts.iter().map(|attempt| attempt.ticket).collect();
    let rows = session.value("SELECT count(*) FROM audit WHERE ticket IS NOT NULL");
    let different = session.value("SELECT count(DISTINCT ticket) FROM audit");
    assert_eq!((rows, different), (tickets.len().to_string(), tickets.len().to_string()));
    let gaps = session.rows(
        "SELECT slot FROM audit_slots LEFT JOIN audit USING (slot) GROUP BY slot, audit_slots.seq \
         HAVING count(audit.seq) <> audit_slots.seq OR coalesce(max(audit.seq), 0) <> audit_slots.seq",
    );
    assert_eq!(gaps.unwrap(), Vec::<Vec<String>>::new());
}
