//! The answers that clients received, and checks that a server keeps to them after a kill.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::http::Answer;
use crate::rng::Rng;
use crate::suite::{Target, refresh};

/// An issued ticket, and the answers to those who presented it.
#[derive(Debug)]
pub struct Ticket {
    /// The ticket.
    pub text: String,
    /// The number of successful redemptions.
    pub welcomed: AtomicU64,
    /// The number of refusals.
    pub refused: AtomicU64,
    /// The number of redemptions without an answer.
    pub lost: AtomicU64,
}

/// A session that was opened.
#[derive(Debug)]
pub struct Session {
    access: String,
    /// The latest refresh token.
    pub current: String,
    used: Vec<String>,
    /// True if the answer to its latest refresh was lost.
    pub lost: bool,
    /// True if it was checked since it was last used.
    held: bool,
}

impl Session {
    /// Reads the answer to a sign-in.
    pub fn of(answer: &Answer) -> Self {
        let (access, current) = (answer.text("access_token"), answer.text("refresh_token"));
        Self { access, current, used: Vec::new(), lost: false, held: false }
    }

    /// Reads the answer to a refresh.
    pub fn refreshed(&mut self, answer: &Answer) {
        let successor = answer.text("refresh_token");
        assert_ne!(successor, self.current);
        self.used.push(std::mem::replace(&mut self.current, successor));
        self.access = answer.text("access_token");
        (self.lost, self.held) = (false, false);
    }

    /// Checks that the server still has the session, and that of its refresh tokens only the last one is good.
    fn hold(&mut self, target: Target, seen: &Counts) {
        assert!(target.is_active(&self.access), "a session that was answered is gone: {self:?}");
        if let Some(used) = self.used.last() {
            assert!(!target.is_active(used), "a used refresh token is good again: {self:?}");
        }
        let unused = target.is_active(&self.current);
        if self.lost {
            Counts::more(if unused { &seen.lost_refreshes_undone } else { &seen.lost_refreshes_done });
            // Applied or not, a client that lost the answer gets one.
            let again = target.ask(&refresh(&self.current));
            assert_eq!(again.status, 200, "a lost refresh cannot be tried again: {self:?}");
            self.refreshed(&again);
        } else {
            assert!(unused, "a refresh token that was answered is not good: {self:?}");
        }
        self.held = true;
    }

    /// Presents the first of its refresh tokens, which must count as used, and end the session.
    fn end(&self, target: Target) {
        if let [first, _, ..] = self.used.as_slice() {
            assert_eq!(target.ask(&refresh(first)).status, 400, "{self:?}");
            assert!(!target.is_active(&self.access), "{self:?}");
        }
    }
}

/// Counts of events over a whole run.
#[derive(Debug, Default)]
pub struct Counts {
    /// Servers killed.
    pub kills: AtomicU64,
    /// Requests with an answer.
    pub answers: AtomicU64,
    /// Requests that may have arrived but had no answer.
    pub lost: AtomicU64,
    /// Successful sign-ins under load.
    pub welcomed: AtomicU64,
    /// Sign-ins refused under load because another client was first.
    pub refused: AtomicU64,
    /// Tickets with a lost answer that turned out to be redeemed.
    pub lost_spent: AtomicU64,
    /// Tickets with a lost answer that turned out to be still good.
    pub lost_good: AtomicU64,
    /// Tickets issued before a kill and redeemed after it.
    pub kept: AtomicU64,
    /// Refreshes with an answer.
    pub refreshed: AtomicU64,
    /// Refreshes with a lost answer that were applied.
    pub lost_refreshes_done: AtomicU64,
    /// Refreshes with a lost answer that were not applied.
    pub lost_refreshes_undone: AtomicU64,
}

impl Counts {
    /// Increments a count.
    pub fn more(count: &AtomicU64) {
        count.fetch_add(1, Relaxed);
    }
}

impl fmt::Display for Counts {
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
    /// The counts so far.
    pub seen: Counts,
    /// Tickets whose state is not known yet.
    open: Mutex<Vec<Arc<Ticket>>>,
    /// Tickets to present, some of them more than once.
    offered: Mutex<Vec<Arc<Ticket>>>,
    spent: Mutex<Vec<Arc<Ticket>>>,
    sessions: Mutex<Vec<Session>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Records an issued ticket.
    pub fn issued(&self, text: String) {
        let (welcomed, refused, lost) = Default::default();
        let ticket = Arc::new(Ticket { text, welcomed, refused, lost });
        locked(&self.open).push(Arc::clone(&ticket));
        locked(&self.offered).push(ticket);
    }

    /// Returns a ticket to present. Now and then another client gets it too.
    pub fn ticket(&self, rng: &mut Rng) -> Option<Arc<Ticket>> {
        let mut offered = locked(&self.offered);
        let ticket = rng.draw(&mut offered)?;
        if rng.one_in(4) {
            offered.push(Arc::clone(&ticket));
        }
        Some(ticket)
    }

    /// Takes out a session; `keep` puts it back.
    pub fn session(&self, rng: &mut Rng) -> Option<Session> {
        rng.draw(&mut locked(&self.sessions))
    }

    /// Records a session.
    pub fn keep(&self, session: Session) {
        locked(&self.sessions).push(session);
    }

    /// Checks a restarted server against everything that was answered.
    pub fn hold(&self, target: Target, rng: &mut Rng) {
        let mut open = Vec::new();
        for ticket in std::mem::take(&mut *locked(&self.open)) {
            if self.settle(target, &ticket, rng) {
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

    /// Presents a ticket to find out or confirm its state. Returns true if it is redeemed from now on.
    fn settle(&self, target: Target, ticket: &Ticket, rng: &mut Rng) -> bool {
        let n = |count: &AtomicU64| count.load(Relaxed);
        let (welcomed, refused, lost) = (n(&ticket.welcomed), n(&ticket.refused), n(&ticket.lost));
        assert!(welcomed <= 1, "spent twice: {ticket:?}");
        let untouched = (welcomed, refused, lost) == (0, 0, 0);
        if untouched && rng.one_in(2) {
            return false;
        }
        assert!(untouched || welcomed + lost > 0, "refused, and nobody had it before: {ticket:?}");
        let answer = target.sign_in(&ticket.text);
        match answer.status {
            200 => {
                assert!(welcomed + refused == 0, "a spent ticket came back: {ticket:?}");
                Counts::more(if untouched { &self.seen.kept } else { &self.seen.lost_good });
                self.keep(Session::of(&answer));
            }
            400 => {
                assert_eq!(answer.json()["code"], json!(40010));
                assert!(!untouched, "a ticket that was answered is gone: {ticket:?}");
                if welcomed == 0 {
                    Counts::more(&self.seen.lost_spent);
                }
            }
            status => panic!("{status} for {ticket:?}"),
        }
        true
    }

    /// Presents every redeemed ticket of the run once more, checks every session, and presents its first refresh token.
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
