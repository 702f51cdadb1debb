//! Clients that ask for tickets, redeem them, refresh and fetch tokens, all at once, until the server is gone.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::thread;

use serde_json::json;

use crate::dice::Dice;
use crate::http::{Answer, Ask, Reached};
use crate::ledger::{Ledger, Seen, Session};
use crate::suite::{Target, refresh, sign_in};
use crate::world::BACKEND_SECRET;

/// Tickets outlive the longest run, so that a refusal is never for their age.
const TICKET_SECONDS: u64 = 3600;

/// One client.
struct Client<'a> {
    target: Target,
    ledger: &'a Ledger,
    dice: Dice,
    service: String,
    answered: Sender<()>,
}

/// The server is gone.
struct Gone;

impl Client<'_> {
    /// Sends `ask`; `lost` is told where it may have arrived and was not answered.
    fn ask(&self, ask: &Ask, lost: impl FnOnce()) -> Result<Answer, Gone> {
        match ask.try_to(self.target.address) {
            Reached::Answered(answer) => {
                Seen::more(&self.ledger.seen.answers);
                Ok(answer)
            }
            Reached::Lost => {
                Seen::more(&self.ledger.seen.lost);
                lost();
                Err(Gone)
            }
            Reached::Unsent => Err(Gone),
        }
    }

    fn issue(&self) -> Result<(), Gone> {
        let body = json!({"user_id": "alice", "audience": "portal", "ttl": TICKET_SECONDS});
        let ask = Ask::json("/auth/generate-ticket", &body).bearer(&self.service);
        let answer = self.ask(&ask, || {})?;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.ledger.issued(answer.text("ticket"));
        Ok(())
    }

    fn redeem(&mut self) -> Result<(), Gone> {
        let Some(ticket) = self.ledger.ticket(&mut self.dice) else { return self.issue() };
        let answer = self.ask(&sign_in(&ticket.text), || Seen::more(&ticket.lost))?;
        match answer.status {
            200 => {
                Seen::more(&ticket.welcomed);
                Seen::more(&self.ledger.seen.welcomed);
                self.ledger.keep(Session::of(&answer));
            }
            400 => {
                Seen::more(&ticket.refused);
                Seen::more(&self.ledger.seen.refused);
            }
            status => panic!("{status} for {ticket:?}"),
        }
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), Gone> {
        let Some(mut session) = self.ledger.session(&mut self.dice) else { return self.redeem() };
        let mut lost = false;
        let answer = self.ask(&refresh(&session.current), || lost = true);
        if let Ok(answer) = &answer {
            assert_eq!(answer.status, 200, "{answer:?} for {session:?}");
            session.refreshed(answer);
            Seen::more(&self.ledger.seen.refreshed);
        }
        session.lost = lost;
        self.ledger.keep(session);
        answer.map(drop)
    }

    fn fetch(&mut self) -> Result<(), Gone> {
        let form = Ask::form("/oauth2/token", "grant_type=client_credentials&scope=ticket:issue");
        let answer = self.ask(&form.basic("backend", BACKEND_SECRET), || {})?;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.service = answer.text("access_token");
        Ok(())
    }

    /// Does one thing after another until the server is gone.
    fn work(&mut self) -> Result<Infallible, Gone> {
        self.fetch()?;
        loop {
            match self.dice.below(10) {
                0 => self.fetch()?,
                1..4 => self.issue()?,
                4..8 => self.redeem()?,
                _ => self.refresh()?,
            }
            // Nobody counts any more once the server is to be killed.
            let _ = self.answered.send(());
        }
    }
}

/// Puts `clients` to work on `target`, calls `kill` once `answers` of them were answered, and returns when all have
/// noticed.
pub fn until_killed(
    target: Target,
    ledger: &Ledger,
    dice: &mut Dice,
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
                dice: dice.split(),
                service: String::new(),
                answered: answered.clone(),
            };
            scope.spawn(move || client.work());
        }
        drop(answered);
        // Ends early only where every client failed, which the scope tells.
        let _ = (0..answers).try_for_each(|_| counted.recv());
        kill();
        ledger.seen.kills.fetch_add(1, Relaxed);
    });
}
