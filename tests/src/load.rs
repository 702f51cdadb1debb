//! Clients that request tickets, redeem them, refresh and fetch tokens, all at once, until the server is gone.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::thread;

use serde_json::json;

use crate::fixtures::BACKEND_SECRET;
use crate::http::{Answer, Reached, TestRequest};
use crate::ledger::{Counts, Ledger, Session};
use crate::rng::Rng;
use crate::suite::{Target, refresh, sign_in};

/// The lifetime of a ticket: longer than any run, so that none expires.
const TICKET_SECONDS: u64 = 3600;

/// A client.
struct Client<'a> {
    target: Target,
    ledger: &'a Ledger,
    rng: Rng,
    service: String,
    answered: Sender<()>,
}

/// The server is gone.
struct ServerGone;

impl Client<'_> {
    /// Sends `ask`. Calls `lost` if it may have arrived but had no answer.
    fn ask(&self, ask: &TestRequest, lost: impl FnOnce()) -> Result<Answer, ServerGone> {
        match ask.try_to(self.target.address) {
            Reached::Answered(answer) => {
                Counts::more(&self.ledger.seen.answers);
                Ok(answer)
            }
            Reached::Lost => {
                Counts::more(&self.ledger.seen.lost);
                lost();
                Err(ServerGone)
            }
            Reached::Unsent => Err(ServerGone),
        }
    }

    fn issue(&self) -> Result<(), ServerGone> {
        let body = json!({"user_id": "alice", "audience": "portal", "ttl": TICKET_SECONDS});
        let ask = TestRequest::json("/auth/generate-ticket", &body).bearer(&self.service);
        let answer = self.ask(&ask, || {})?;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.ledger.issued(answer.text("ticket"));
        Ok(())
    }

    fn redeem(&mut self) -> Result<(), ServerGone> {
        let Some(ticket) = self.ledger.ticket(&mut self.rng) else { return self.issue() };
        let answer = self.ask(&sign_in(&ticket.text), || Counts::more(&ticket.lost))?;
        match answer.status {
            200 => {
                Counts::more(&ticket.welcomed);
                Counts::more(&self.ledger.seen.welcomed);
                self.ledger.keep(Session::of(&answer));
            }
            400 => {
                Counts::more(&ticket.refused);
                Counts::more(&self.ledger.seen.refused);
            }
            status => panic!("{status} for {ticket:?}"),
        }
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), ServerGone> {
        let Some(mut session) = self.ledger.session(&mut self.rng) else { return self.redeem() };
        let mut lost = false;
        let answer = self.ask(&refresh(&session.current), || lost = true);
        if let Ok(answer) = &answer {
            assert_eq!(answer.status, 200, "{answer:?} for {session:?}");
            session.refreshed(answer);
            Counts::more(&self.ledger.seen.refreshed);
        }
        session.lost = lost;
        self.ledger.keep(session);
        answer.map(drop)
    }

    fn fetch(&mut self) -> Result<(), ServerGone> {
        let form = TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=ticket:issue");
        let answer = self.ask(&form.basic("backend", BACKEND_SECRET), || {})?;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.service = answer.text("access_token");
        Ok(())
    }

    /// Does one thing after another until the server is gone.
    fn work(&mut self) -> Result<Infallible, ServerGone> {
        self.fetch()?;
        loop {
            match self.rng.below(10) {
                0 => self.fetch()?,
                1..4 => self.issue()?,
                4..8 => self.redeem()?,
                _ => self.refresh()?,
            }
            // The receiver is gone once the server is to be killed.
            let _ = self.answered.send(());
        }
    }
}

/// Runs `clients` against `target`, calls `kill` after `answers` answers, and returns when all have noticed.
pub fn until_killed(
    target: Target,
    ledger: &Ledger,
    rng: &mut Rng,
    clients: usize,
    answers: u64,
    kill: impl FnOnce(),
) {
    let (answered, counted) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..clients {
            let mut client = Client {
                target,
                ledger,
                rng: rng.split(),
                service: String::new(),
                answered: answered.clone(),
            };
            scope.spawn(move || client.work());
        }
        drop(answered);
        // Ends early only if every client failed, which the scope reports.
        let _ = (0..answers).try_for_each(|_| counted.recv());
        kill();
        ledger.seen.kills.fetch_add(1, Relaxed);
    });
}
