//! What clients were told, and whether a server that was killed in between keeps to it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::dice::Dice;
use crate::http::Answer;
use crate::suite::{Target, refresh};

/// A ticket that was answered, and what those were told who presented it.
#[derive(Debug)]
pub struct Ticket {
    /// The ticket itself.
    pub text: String,
    /// How many were welcomed.
    pub welcomed: AtomicU64,
    /// How many were refused.
    pub refused: AtomicU64,
    /// How many presented it and heard nothing.
    pub lost: AtomicU64,
}

/// A session that was answered.
#[derive(Debug)]
pub struct Session {
    access: String,
    /// The latest refresh token that was answered.
    pub current: String,
    used: Vec<String>,
    /// The answer to its latest refresh was lost.
    pub lost: bool,
    /// Looked at since it was last touched.
    held: bool,
}

impl Session {
    /// What a sign-in told.
    pub fn of(answer: &Answer) -> Self {
        let (access, current) = (answer.text("access_token"), answer.text("refresh_token"));
        Self { access, current, used: Vec::new(), lost: false, held: false }
    }

    /// What a refresh told.
    pub fn refreshed(&mut self, answer: &Answer) {
        let successor = answer.text("refresh_token");
        assert_ne!(successor, self.current);
        self.used.push(std::mem::replace(&mut self.current, successor));
        self.access = answer.text("access_token");
        (self.lost, self.held) = (false, false);
    }

    /// Holds the server to it: the session is there, and of its refresh tokens the last one alone is good.
    fn hold(&mut self, target: Target, seen: &Seen) {
        assert!(target.is_active(&self.access), "a session that was answered is gone: {self:?}");
        if let Some(used) = self.used.last() {
            assert!(!target.is_active(used), "a used refresh token is good again: {self:?}");
        }
        let unused = target.is_active(&self.current);
        if self.lost {
            Seen::more(if unused { &seen.lost_refreshes_undone } else { &seen.lost_refreshes_done });
            // Done or not, whoever lost the answer is given one.
            let again = target.ask(&refresh(&self.current));
            assert_eq!(again.status, 200, "a lost refresh cannot be tried again: {self:?}");
            self.refreshed(&again);
        } else {
            assert!(unused, "a refresh token that was answered is not good: {self:?}");
        }
        self.held = true;
    }

    /// Presents the first of its refresh tokens, which must be used for good, and to whose bearer all is over.
    fn end(&self, target: Target) {
        if let [first, _, ..] = self.used.as_slice() {
            assert_eq!(target.ask(&refresh(first)).status, 400, "{self:?}");
            assert!(!target.is_active(&self.access), "{self:?}");
        }
    }
}

/// Counts of what happened, over a whole run.
#[derive(Debug, Default)]
pub struct Seen {
    /// Servers killed.
    pub kills: AtomicU64,
    /// Requests answered.
    pub answers: AtomicU64,
    /// Requests that may have arrived, and were not answered.
    pub lost: AtomicU64,
    /// Sign-ins welcomed under load.
    pub welcomed: AtomicU64,
    /// Sign-ins refused under load, where somebody else was first.
    pub refused: AtomicU64,
    /// Tickets whose answer was lost, and that turned out to be spent.
    pub lost_spent: AtomicU64,
    /// Tickets whose answer was lost, and that turned out to be good still.
    pub lost_good: AtomicU64,
    /// Tickets answered before a kill, and redeemed after it.
    pub kept: AtomicU64,
    /// Refreshes answered.
    pub refreshed: AtomicU64,
    /// Refreshes whose answer was lost, and that were done.
    pub lost_refreshes_done: AtomicU64,
    /// Refreshes whose answer was lost, and that were not done.
    pub lost_refreshes_undone: AtomicU64,
}

impl Seen {
    /// Counts one more.
    pub fn more(count: &AtomicU64) {
        count.fetch_add(1, Relaxed);
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |count: &AtomicU64| count.load(Relaxed);
        write!(
            f,
            "{} kills; {} answers, {} lost; sign-ins: {} welcomed, {} refused, {} lost of which {} spent and {} \
             still good; {} tickets redeemed after a kill; refreshes: {} answered, {} lost of which {} done and {} not",
            n(&self.kills),
            n(&self.answers),
            n(&self.lost),
            n(&self.welcomed),
            n(&self.refused),
            n(&self.lost_spent) + n(&self.lost_good),
            n(&self.lost_spent),
            n(&self.lost_good),
            n(&self.kept),
            n(&self.refreshed),
            n(&self.lost_refreshes_done) + n(&self.lost_refreshes_undone),
            n(&self.lost_refreshes_done),
            n(&self.lost_refreshes_undone),
        )
    }
}

/// Everything that was answered.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What happened so far.
    pub seen: Seen,
    /// Tickets of which it is not settled yet what became of them.
    open: Mutex<Vec<Arc<Ticket>>>,
    /// Tickets to be presented; some of them more than once.
    offered: Mutex<Vec<Arc<Ticket>>>,
    spent: Mutex<Vec<Arc<Ticket>>>,
    sessions: Mutex<Vec<Session>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Enters a ticket.
    pub fn issued(&self, text: String) {
        let (welcomed, refused, lost) = Default::default();
        let ticket = Arc::new(Ticket { text, welcomed, refused, lost });
        locked(&self.open).push(Arc::clone(&ticket));
        locked(&self.offered).push(ticket);
    }

    /// A ticket to present. Now and then somebody else is given it too.
    pub fn ticket(&self, dice: &mut Dice) -> Option<Arc<Ticket>> {
        let mut offered = locked(&self.offered);
        let ticket = dice.draw(&mut offered)?;
        if dice.once_in(4) {
            offered.push(Arc::clone(&ticket));
        }
        Some(ticket)
    }

    /// A session, to be given back.
    pub fn session(&self, dice: &mut Dice) -> Option<Session> {
        dice.draw(&mut locked(&self.sessions))
    }

    /// Enters a session.
    pub fn keep(&self, session: Session) {
        locked(&self.sessions).push(session);
    }

    /// Holds a restarted server to everything that was answered.
    pub fn hold(&self, target: Target, dice: &mut Dice) {
        let mut open = Vec::new();
        for ticket in std::mem::take(&mut *locked(&self.open)) {
            if self.settle(target, &ticket, dice) {
                locked(&self.spent).push(ticket);
            } else {
                open.push(ticket);
            }
        }
        locked(&self.offered).clone_from(&open);
        *locked(&self.open) = open;
        for session in locked(&self.sessions).iter_mut().filter(|session| session.lost || !session.held) {
            session.hold(target, &self.seen);
        }
    }

    /// Presents a ticket of which something is known or to be found out; whether it is spent from now on.
    fn settle(&self, target: Target, ticket: &Ticket, dice: &mut Dice) -> bool {
        let n = |count: &AtomicU64| count.load(Relaxed);
        let (welcomed, refused, lost) = (n(&ticket.welcomed), n(&ticket.refused), n(&ticket.lost));
        assert!(welcomed <= 1, "spent twice: {ticket:?}");
        let untouched = (welcomed, refused, lost) == (0, 0, 0);
        if untouched && dice.once_in(2) {
            return false;
        }
        assert!(untouched || welcomed + lost > 0, "refused, and nobody had it before: {ticket:?}");
        let answer = target.sign_in(&ticket.text);
        match answer.status {
            200 => {
                assert!(welcomed + refused == 0, "a spent ticket came back: {ticket:?}");
                Seen::more(if untouched { &self.seen.kept } else { &self.seen.lost_good });
                self.keep(Session::of(&answer));
            }
            400 => {
                assert_eq!(answer.json()["code"], json!(40010));
                assert!(!untouched, "a ticket that was answered is gone: {ticket:?}");
                if welcomed == 0 {
                    Seen::more(&self.seen.lost_spent);
                }
            }
            status => panic!("{status} for {ticket:?}"),
        }
        true
    }

    /// Presents every spent ticket of the whole run once more, looks at every session, and presents its first refresh
    /// token.
    pub fn close(&self, target: Target) {
        for ticket in locked(&self.spent).iter() {
            assert_eq!(target.sign_in(&ticket.text).status, 400, "a spent ticket came back: {ticket:?}");
        }
        for session in locked(&self.sessions).iter_mut() {
            session.hold(target, &self.seen);
            session.end(target);
        }
    }
}
