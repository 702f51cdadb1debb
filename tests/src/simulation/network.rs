//! Requests and answers in transit: lost, late or doubled; and clients that retry.

use gatepass_core::http::request::Request;
use gatepass_core::records::role::Role;
use serde_json::Value;

use super::{Event, World, note};

/// The kind of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RequestKind {
    ServiceToken,
    Issue,
    Present { ticket: String, key: Option<String> },
    Login,
    AnswerChallenge { challenge: String, key: Option<String> },
    Refresh { token: String, by_portal: bool },
    Userinfo(String),
    Introspect(String),
    SetUp,
    VerifyDevice,
    EndSession,
    Revoke(String),
    ChangePassword,
    Administer { token: String, role: Role, what: String },
}

/// A client's request, sent once or more.
pub(super) struct Call {
    /// The person who waits for the answer, if any.
    pub(super) from: Option<usize>,
    pub(super) what: RequestKind,
    request: Request,
    attempt: u32,
    open: bool,
}

/// An answer in transit.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// The number of attempts before a person does something else.
const ATTEMPTS: u32 = 4;

impl World {
    /// Sends `request` for `from`.
    pub(super) fn call(&mut self, from: Option<usize>, what: RequestKind, request: Request) {
        let call = self.next_number();
        if let Some(person) = from {
            self.people[person].busy = true;
        }
        self.calls.insert(call, Call { from, what, request, attempt: 0, open: true });
        self.send(call);
    }

    /// Keeps a request that arrives by an event of its own. Its answer is dropped.
    pub(super) fn keep_call(&mut self, call: u64, what: RequestKind, request: Request) {
        self.calls.insert(call, Call { from: None, what, request, attempt: 1, open: false });
    }

    fn send(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.attempt += 1;
        let (attempt, from) = (call.attempt, call.from);
        note!(self, "#{id} {} {}", self.called(from), shown(&self.calls[&id].what));
        if from.is_some() {
            self.later(1_500, 6_000, Event::GiveUp(id, attempt));
        }
        if self.rng.one_in(self.faults.lost) {
            self.coverage.count("requests lost");
            note!(self, "#{id} is lost");
            return;
        }
        let doubled = self.rng.one_in(self.faults.doubled);
        if doubled {
            self.coverage.count("requests doubled");
        }
        for _ in 0..=u32::from(doubled) {
            if self.rng.one_in(self.faults.late) {
                self.coverage.count("requests late");
                self.later(1_000, 16_000, Event::Arrive(id));
            } else {
                self.later(1, 40, Event::Arrive(id));
            }
        }
    }

    pub(super) fn arrive(&mut self, id: u64) {
        let up: Vec<usize> = (0..self.servers.len()).filter(|server| self.servers[*server].up).collect();
        if up.is_empty() {
            self.coverage.count("requests to a dead server");
            note!(self, "#{id} finds no server");
            return;
        }
        let server = self.rng.pick(&up);
        let Call { what, request, .. } = &self.calls[&id];
        let (what, request) = (what.clone(), copy(request));
        self.begin(server, id, what, request);
    }

    /// Sends an answer back.
    pub(super) fn reply(&mut self, call: u64, status: u16, body: Value) {
        let answer = Event::Answer(call, Answered { status, body });
        if self.rng.one_in(self.faults.lost) {
            self.coverage.count("answers lost");
            note!(self, "#{call} answer lost");
        } else if self.rng.one_in(self.faults.late) {
            self.coverage.count("answers late");
            self.later(1_000, 12_000, answer);
        } else {
            self.later(1, 40, answer);
        }
    }

    pub(super) fn answered(&mut self, id: u64, answer: &Answered) {
        let call = self.calls.get_mut(&id).expect("a call");
        let Some(person) = call.from.filter(|_| call.open) else { return };
        if answer.status >= 500 && call.attempt < ATTEMPTS {
            // The person tries again at the time-out.
            return;
        }
        call.open = false;
        let what = call.what.clone();
        self.people[person].busy = false;
        note!(self, "#{id} {} is told {}", self.called(Some(person)), answer.status);
        self.take(person, &what, Some(answer));
        self.later(50, 10_000, Event::Wake(person));
    }

    pub(super) fn give_up(&mut self, id: u64, attempt: u32) {
        let call = self.calls.get_mut(&id).expect("a call");
        if !call.open || call.attempt != attempt {
            return;
        }
        if attempt < ATTEMPTS && self.now < super::END {
            self.send(id);
            return;
        }
        call.open = false;
        let (from, what) = (call.from, call.what.clone());
        if let Some(person) = from {
            self.people[person].busy = false;
            note!(self, "#{id} {} gives up", self.called(from));
            self.take(person, &what, None);
            self.later(50, 10_000, Event::Wake(person));
        }
    }

    fn called(&self, person: Option<usize>) -> String {
        person.map_or("somebody".into(), |person| format!("{} ({person})", self.people[person].user))
    }
}

/// Returns the first characters of a credential, enough to identify it.
pub(super) fn short(text: &str) -> &str {
    // Access tokens differ at their ends, not at their beginnings.
    let from = if text.starts_with("eyJ") { text.len() - 8 } else { 0 };
    text.get(from..).map_or(text, |text| text.get(..12).unwrap_or(text))
}

fn shown(what: &RequestKind) -> String {
    match what {
        RequestKind::ServiceToken => "has its backend ask for a token".into(),
        RequestKind::Issue => "has a ticket issued".into(),
        RequestKind::Present { ticket, key: None } => format!("presents {}", short(ticket)),
        RequestKind::Present { ticket, .. } => format!("presents {} with a key", short(ticket)),
        RequestKind::Login => "signs in by password".into(),
        RequestKind::AnswerChallenge { challenge, key: None } => format!("answers {}", short(challenge)),
        RequestKind::AnswerChallenge { challenge, .. } => format!("answers {} with a key", short(challenge)),
        RequestKind::Refresh { token, .. } => format!("refreshes with {}", short(token)),
        RequestKind::Userinfo(token) => format!("asks who …{} is", short(token)),
        RequestKind::Introspect(token) => format!("asks whether …{} is good", short(token)),
        RequestKind::SetUp => "sets up a device".into(),
        RequestKind::VerifyDevice => "verifies a device".into(),
        RequestKind::EndSession => "ends sessions".into(),
        RequestKind::Revoke(token) => format!("gives up …{}", short(token)),
        RequestKind::ChangePassword => "changes the password".into(),
        RequestKind::Administer { token, what, .. } => format!("asks for {what} with …{}", short(token)),
    }
}

/// Copies a request.
pub(super) fn copy(request: &Request) -> Request {
    Request {
        method: request.method.clone(),
        target: request.target.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        peer: request.peer,
    }
}
