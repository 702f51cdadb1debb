//! Redeemers that present tickets to processes over HTTP. Every answer is compared with the database in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use gatepass_core::records::ticket::TicketDigest;
use gatepass_core::store::change::Outcome;
use gatepass_tests::http::{Reached, TestRequest};
use gatepass_tests::suite::sign_in;
use serde_json::json;

use crate::fleet::Fleet;
use crate::history::{Kept, Summary, check};
use crate::load::{Load, Progress};
use crate::session::Session;

/// The outcomes of the requests.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) summary: Summary,
    answers: Answers,
    /// The transactions whose answer was lost: found to be written, not to be written, and not found out.
    pub(crate) lost: [u64; 3],
}

/// The number of answers with each status, and of requests without an answer.
type Answers = BTreeMap<String, u64>;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { summary, answers, lost: [written, not_written, unknown] } = self;
        write!(
            f,
            "{summary}; {answers:?}; lost answers of the database: {written} found to be written, {not_written} not written, \
             {unknown} unknown"
        )
    }
}

/// Tickets that were issued, and the sessions that they have opened.
pub(crate) struct Tickets<'f> {
    fleet: &'f Fleet,
    texts: Vec<String>,
    answers: Mutex<Answers>,
    /// The access tokens that were answered.
    tokens: Mutex<Vec<String>>,
}

impl<'f> Tickets<'f> {
    pub(crate) fn issue(fleet: &'f Fleet, count: u64) -> Self {
        Self { fleet, texts: fleet.issue(count), answers: Mutex::default(), tokens: Mutex::default() }
    }

    /// Lets `redeemers` present each of the tickets, spread over the processes, while `meanwhile` runs. In the end every ticket is presented
    /// again at every process, and every answer is compared with the database at `url`.
    pub(crate) fn redeem(
        self,
        url: &str,
        redeemers: u64,
        meanwhile: impl FnOnce(&Progress) + Send,
    ) -> Report {
        let tickets = u64::try_from(self.texts.len()).unwrap();
        let load = Load { tickets, redeemers, processes: self.fleet.size() };
        let present = |attempt, ticket, process| self.present(attempt, ticket, process);
        let attempts = load.run(&present, meanwhile);
        let lost = self.fleet.lost_answers();
        let answers = self.answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        let kept = kept(url, &self.texts);
        let summary = check(&attempts, &kept).unwrap_or_else(|broken| panic!("{broken:?}; {answers:?}"));
        // Nothing that was answered is lost: neither for a process nor for the database.
        let tokens = self.tokens.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(u64::try_from(tokens.len()).unwrap(), summary.applied);
        for (number, token) in tokens.iter().enumerate() {
            let request = TestRequest::new("GET", "/userinfo").bearer(token);
            let answer = self.fleet.answer(number % self.fleet.size(), &request);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        Report { summary, answers, lost }
    }

    fn present(&self, attempt: u64, ticket: u64, process: usize) -> Outcome {
        let text = &self.texts[usize::try_from(ticket).unwrap()];
        let request = sign_in(text).header("X-Request-Id", &attempt.to_string());
        let (told, outcome) = match self.fleet.ask(process, &request) {
            Reached::Unsent => ("not sent".to_owned(), Outcome::NotApplied),
            Reached::Lost => ("no answer".to_owned(), Outcome::Unknown),
            Reached::Answered(answer) => {
                let outcome = match answer.status {
                    200 => {
                        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                        tokens.push(answer.text("access_token"));
                        Outcome::Applied
                    }
                    400 => {
                        assert_eq!(answer.json()["code"], json!(40010), "{answer:?}");
                        Outcome::Conflict
                    }
                    // A server must never say this of a ticket that may be spent.
                    503 => Outcome::NotApplied,
                    500 => Outcome::Unknown,
                    _ => panic!("{answer:?}"),
                };
                (answer.status.to_string(), outcome)
            }
        };
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(told).or_default() += 1;
        outcome
    }
}

/// Reads which tickets are spent, and which attempts have opened a session: the audit row of a redemption names the session, and the
/// request by the id that it was sent with.
fn kept(url: &str, texts: &[String]) -> Kept {
    let session = Session::open(url);
    let hex = |text: &String| {
        let TicketDigest(digest) = TicketDigest::of(text).unwrap();
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let numbers: BTreeMap<String, u64> = texts.iter().map(hex).zip(0..).collect();
    let spent = session.rows("SELECT encode(digest, 'hex') FROM tickets WHERE spent_at IS NOT NULL").unwrap();
    let opened = session.rows(
        "SELECT sent_request FROM sessions LEFT JOIN audit ON audit.session = sessions.id AND kind = 'ticket.redeemed' \
         WHERE ended_at IS NULL",
    );
    let opened: Vec<u64> = opened.unwrap().iter().map(|row| row[0].parse().unwrap()).collect();
    let sessions: BTreeSet<u64> = opened.iter().copied().collect();
    assert_eq!(sessions.len(), opened.len(), "a request has opened two sessions");
    Kept { spent: spent.iter().map(|row| numbers[&row[0]]).collect(), sessions }
}
