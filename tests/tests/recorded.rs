//! What the audit table is told: every issue, redemption and refusal of something that exists, with everyone in it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::audit::{Event, Kind, Refusal};
use gatepass_core::gatepass::Gatepass;
use gatepass_core::step::drive;
use gatepass_core::wire::request::Request;
use gatepass_tests::memory::Memory;
use gatepass_tests::world::{
    self, BACKEND_SECRET, NOON, PORTAL_SECRET, asks_for_token, moment, presents, request,
};
use serde_json::{Value, json};

/// A server, its store, and how many requests it has had.
struct Desk {
    gatepass: Gatepass,
    store: Memory,
    asked: u64,
}

impl Desk {
    fn new() -> Self {
        let gatepass = world::gatepass("http://gate.example");
        Self { gatepass, store: Memory::new(world::tables()), asked: 0 }
    }

    /// The answer to `request`, and the rows it wrote.
    fn ask(&mut self, request: Request) -> (Value, Vec<Event>) {
        self.asked += 1;
        let before = self.store.with(|tables| tables.audit.len());
        let answer = drive(&self.gatepass, &self.store, request, moment(NOON, self.asked));
        let body = serde_json::from_slice(answer.body()).expect("JSON");
        (body, self.store.with(|tables| tables.audit.split_off(before)))
    }

    fn token(&mut self, id: &str, secret: &str, scope: &str) -> String {
        let (body, rows) = self.ask(asks_for_token(id, secret, scope));
        assert_eq!(rows, [], "a service's token is no event");
        format!("Bearer {}", body["access_token"].as_str().expect("a token"))
    }

    fn issue(&mut self, bearer: &str, body: &Value) -> (Value, Vec<Event>) {
        self.ask(request("/auth/generate-ticket", bearer, body))
    }
}

/// An event with the texts of everyone in it: subject, actor, client, reason.
fn told(event: &Event) -> (Kind, Option<Refusal>, [Option<&str>; 4]) {
    assert_eq!((event.at, event.count), (NOON, 1));
    assert_eq!(event.address.map(|a| a.to_string()).as_deref(), Some("192.0.2.1"));
    let people = [
        event.subject.as_ref().map(|id| id.as_str()),
        event.actor.as_ref().map(|id| id.as_str()),
        event.client.as_ref().map(|id| id.as_str()),
        event.reason.as_deref(),
    ];
    (event.kind, event.refusal, people)
}

#[test]
fn an_impersonation_is_told_from_issue_to_refusal() {
    let mut desk = Desk::new();
    let bearer = desk.token("backend", BACKEND_SECRET, "ticket:issue ticket:impersonate");
    let asked = json!({"user_id": "alice", "audience": "portal", "actor": "boss", "reason": "call 4711"});
    let everyone = [Some("usr_alice"), Some("usr_boss"), Some("portal"), Some("call 4711")];

    let (issued, rows) = desk.issue(&bearer, &asked);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::TicketIssued, None, everyone)]);
    let id = rows[0].ticket.clone();
    assert!(id.is_some() && rows[0].session.is_none());

    let ticket = issued["ticket"].as_str().expect("a ticket");
    let (_, rows) = desk.ask(presents(ticket));
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::TicketRedeemed, None, everyone)]);
    assert_eq!(rows[0].ticket, id);
    let session = desk.store.with(|tables| tables.sessions.keys().next().cloned());
    assert!(session.is_some() && rows[0].session == session);

    let (_, rows) = desk.ask(presents(ticket));
    let again = (Kind::TicketRefused, Some(Refusal::TicketSpent), everyone);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [again]);
    assert_eq!((&rows[0].ticket, &rows[0].session), (&id, &None));
}

#[test]
fn refusals_of_what_exists_are_rows_and_garbage_is_none() {
    let mut desk = Desk::new();
    let bearer = desk.token("backend", BACKEND_SECRET, "ticket:issue");
    let asked = json!({"user_id": "alice", "audience": "portal", "bind": true});
    let (issued, _) = desk.issue(&bearer, &asked);
    let (_, rows) = desk.ask(presents(issued["ticket"].as_str().expect("a ticket")));
    let whom = [Some("usr_alice"), None, Some("portal"), None];
    let wasted = (Kind::TicketRefused, Some(Refusal::RedeemerUnproven), whom);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [wasted]);

    let portal = desk.token("portal", PORTAL_SECRET, "orders:read");
    let (_, rows) = desk.issue(&portal, &json!({"user_id": "alice"}));
    let beyond = (Kind::IssueRefused, Some(Refusal::ScopeMissing), [None, None, Some("portal"), None]);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [beyond]);

    for garbage in [
        presents("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        presents("nonsense"),
        request("/auth/generate-ticket", "Bearer a.b.c", &json!({"user_id": "alice"})),
        asks_for_token("nobody", "wrong", "a"),
    ] {
        assert_eq!(desk.ask(garbage).1, []);
    }
}
