//! The audit table: every issue, redemption and refusal of an existing credential, with everyone in it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::api::step::drive;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::id::{SessionId, UserId};
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PORTAL_SECRET, asks_for_token, grants, impersonates, inputs, posts, presents,
    refreshes, request, revokes,
};
use gatepass_tests::memory::{Memory, Tables};
use serde_json::{Value, json};

/// A server with its store, and the number of its requests.
struct InMemoryServer {
    engine: Engine,
    store: Memory,
    asked: u64,
}

impl InMemoryServer {
    fn new() -> Self {
        let engine = fixtures::engine("http://gate.example");
        Self { engine, store: Memory::new(fixtures::tables()), asked: 0 }
    }

    /// Returns the answer to `request`, and the rows that it wrote.
    fn ask(&mut self, request: Request) -> (Value, Vec<Event>) {
        self.asked += 1;
        let before = self.store.with(|tables| tables.audit.len());
        let answer = drive(&self.engine, &self.store, request, inputs(NOON, self.asked));
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

/// Returns an event with the names in it: subject, actor, client, reason.
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
fn an_impersonation_is_recorded_from_issue_to_refusal() {
    let mut server = InMemoryServer::new();
    let bearer = server.token("backend", BACKEND_SECRET, "ticket:issue ticket:impersonate");
    let asked = json!({"user_id": "alice", "audience": "portal", "actor": "boss", "reason": "call 4711"});
    let everyone = [Some("usr_alice"), Some("usr_boss"), Some("portal"), Some("call 4711")];

    let (issued, rows) = server.issue(&bearer, &asked);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::TicketIssued, None, everyone)]);
    let id = rows[0].ticket.clone();
    assert!(id.is_some() && rows[0].session.is_none());

    let ticket = issued["ticket"].as_str().expect("a ticket");
    let (_, rows) = server.ask(presents(ticket));
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::TicketRedeemed, None, everyone)]);
    assert_eq!(rows[0].ticket, id);
    let session = server.store.with(|tables| tables.sessions.keys().next().cloned());
    assert!(session.is_some() && rows[0].session == session);

    let (_, rows) = server.ask(presents(ticket));
    let again = (Kind::TicketRefused, Some(Refusal::TicketSpent), everyone);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [again]);
    assert_eq!((&rows[0].ticket, &rows[0].session), (&id, &None));
}

#[test]
fn refusals_of_what_exists_are_recorded_and_garbage_is_not() {
    let mut server = InMemoryServer::new();
    let bearer = server.token("backend", BACKEND_SECRET, "ticket:issue");
    let asked = json!({"user_id": "alice", "audience": "portal", "bind": true});
    let (issued, _) = server.issue(&bearer, &asked);
    let (_, rows) = server.ask(presents(issued["ticket"].as_str().expect("a ticket")));
    let whom = [Some("usr_alice"), None, Some("portal"), None];
    let wasted = (Kind::TicketRefused, Some(Refusal::RedeemerUnproven), whom);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [wasted]);

    let portal = server.token("portal", PORTAL_SECRET, "orders:read");
    let (_, rows) = server.issue(&portal, &json!({"user_id": "alice"}));
    let beyond = (Kind::IssueRefused, Some(Refusal::ScopeMissing), [None, None, Some("portal"), None]);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [beyond]);

    for garbage in [
        presents("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        presents("nonsense"),
        request("/auth/generate-ticket", "Bearer a.b.c", &json!({"user_id": "alice"})),
        asks_for_token("nobody", "wrong", "a"),
    ] {
        assert_eq!(server.ask(garbage).1, []);
    }
}

/// Returns the kinds and refusals of `rows`, all of which are about boss, who acts as alice at the portal in `session`.
fn about(rows: &[Event], session: &SessionId) -> Vec<(Kind, Option<Refusal>)> {
    let everyone = [Some("usr_alice"), Some("usr_boss"), Some("portal"), None];
    rows.iter()
        .map(|row| {
            let (kind, refusal, people) = told(row);
            assert_eq!((people, row.session.as_ref()), (everyone, Some(session)), "{kind:?}");
            (kind, refusal)
        })
        .collect()
}

/// Signs boss in as alice at the portal. Returns the tokens and the session.
fn acting(server: &mut InMemoryServer) -> (String, String, SessionId) {
    let told = impersonates(&server.engine, &server.store);
    server.asked = 10;
    let text = |kind: &str| told[kind].as_str().expect("a token").to_owned();
    let session = server.store.with(|tables| tables.sessions.keys().next().cloned()).expect("a session");
    (text("refresh_token"), text("access_token"), session)
}

#[test]
fn a_session_is_recorded_from_refresh_to_reuse() {
    let mut server = InMemoryServer::new();
    let (first, _, session) = acting(&mut server);
    let (body, rows) = server.ask(refreshes(&first));
    assert_eq!(about(&rows, &session), [(Kind::SessionRefreshed, None)]);
    let (_, rows) = server.ask(refreshes(&first));
    assert_eq!(about(&rows, &session), [], "a lost answer is only counted");
    let second = body["refresh_token"].as_str().expect("a token");
    let (_, rows) = server.ask(grants(second));
    assert_eq!(about(&rows, &session), [], "so is a second refresh within the hour");
    let live = |tables: &mut Tables| {
        let unused = tables.refresh_tokens.values().find(|token| token.rotation.is_none());
        unused.map(|token| (token.number, token.refreshes, token.recorded_at.is_some()))
    };
    assert_eq!(server.store.with(live), Some((2, 2, true)));

    let other = format!("grant_type=refresh_token&refresh_token={second}");
    let (_, rows) = server.ask(posts("/oauth2/token", "backend", BACKEND_SECRET, &other));
    assert_eq!(about(&rows, &session), [(Kind::RefreshRefused, Some(Refusal::AudienceMismatch))]);
    let wider = format!("{other}&scope=profile+phone");
    let (_, rows) = server.ask(posts("/oauth2/token", "portal", PORTAL_SECRET, &wider));
    assert_eq!(about(&rows, &session), [(Kind::RefreshRefused, Some(Refusal::NotGrantable))]);
    let (_, rows) = server.ask(refreshes(&first));
    assert_eq!(about(&rows, &session), [(Kind::RefreshReused, Some(Refusal::RefreshReused))]);
    let (_, rows) = server.ask(refreshes(second));
    assert_eq!(about(&rows, &session), [(Kind::RefreshRefused, Some(Refusal::SessionOver))]);

    for nothing in [
        refreshes(fixtures::UNKNOWN_REFRESH_TOKEN),
        refreshes("x"),
        posts("/oauth2/token", "portal", PORTAL_SECRET, "grant_type=refresh_token&refresh_token=x"),
        posts("/oauth2/token", "portal", "wrong", &other),
    ] {
        assert_eq!(server.ask(nothing).1, []);
    }
}

#[test]
fn a_revocation_is_recorded_with_its_actor() {
    let mut server = InMemoryServer::new();
    let (refresh, access, session) = acting(&mut server);
    for (token, id, secret) in
        [("x", "portal", PORTAL_SECRET), (&access, "backend", BACKEND_SECRET), (&refresh, "portal", "wrong")]
    {
        assert_eq!(server.ask(posts("/oauth2/revoke", id, secret, &format!("token={token}"))).1, []);
    }
    assert_eq!(about(&server.ask(revokes(&access)).1, &session), [(Kind::TokenRevoked, None)]);
    assert_eq!(server.ask(revokes(&access)).1, [], "it is revoked once");
    assert_eq!(about(&server.ask(revokes(&refresh)).1, &session), [(Kind::SessionEnded, None)]);
    assert_eq!(server.ask(revokes(&refresh)).1, [], "it is ended once");

    let service = server.token("portal", PORTAL_SECRET, "orders:read");
    let (_, rows) = server.ask(revokes(service.trim_start_matches("Bearer ")));
    let portal = [None, None, Some("portal"), None];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::TokenRevoked, None, portal)]);
    assert_eq!(rows[0].session, None);
}

#[test]
fn the_end_of_ones_sessions_is_recorded() {
    let mut server = InMemoryServer::new();
    let ticket = fixtures::issue(&server.engine, &server.store, "alice", inputs(NOON, 50));
    let (body, _) = server.ask(presents(&ticket));
    let bearer = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
    let mine = server.store.with(|tables| tables.sessions.keys().next().cloned()).expect("a session");
    // Another user's session.
    let other = SessionId::parse("ses_other").expect("an id");
    server.store.with(|tables| {
        let mut session = tables.sessions[&mine].clone();
        (session.id, session.user_id) = (other.clone(), UserId::parse("usr_boss").expect("an id"));
        tables.sessions.insert(other.clone(), session);
    });
    let mut asks = |method: &str, path: &str| {
        let asked = request(path, &bearer, &Value::Null);
        server.ask(Request { method: method.into(), ..asked }).1
    };
    assert_eq!(asks("GET", "/auth/me/sessions"), []);
    assert_eq!(asks("DELETE", &format!("/auth/me/sessions/{}", other.as_str())), []);
    let rows = asks("DELETE", "/auth/me/sessions");
    let alice = [Some("usr_alice"), None, None, None];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::SessionsEnded, None, alice)]);

    let ticket = fixtures::issue(&server.engine, &server.store, "alice", inputs(NOON, 60));
    let (body, rows) = server.ask(presents(&ticket));
    let bearer = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
    let session = rows[0].session.clone().expect("a session");
    let path = format!("/auth/me/sessions/{}", session.as_str());
    let end = Request { method: "DELETE".into(), ..request(&path, &bearer, &Value::Null) };
    let (_, rows) = server.ask(end);
    let alice = [Some("usr_alice"), None, Some("admin"), None];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::SessionEnded, None, alice)]);
    assert_eq!(rows[0].session, Some(session));
}

#[test]
fn an_authenticated_request_is_no_guess() {
    let mut server = InMemoryServer::new();
    let (token, _, session) = acting(&mut server);
    let store = server.store.clone();
    let mut lockout = |request: Request| {
        server.asked += 1;
        let answer = drive(&server.engine, &server.store, request, inputs(NOON, server.asked));
        assert!(answer.refusal().is_some(), "{answer:?}");
        answer.refuses_a_guess()
    };
    let grant = |token: &str, secret: &str| {
        posts("/oauth2/token", "portal", secret, &format!("grant_type=refresh_token&refresh_token={token}"))
    };
    let unknown = fixtures::UNKNOWN_REFRESH_TOKEN;
    assert!(lockout(grant(&token, "wrong")), "a client's secret may be guessed");
    assert!(lockout(refreshes(unknown)) && lockout(refreshes("x")));
    assert!(!lockout(grant(unknown, PORTAL_SECRET)) && !lockout(grant("x", PORTAL_SECRET)));
    store.with(|tables| tables.sessions.get_mut(&session).expect("it").ended_at = Some(NOON));
    assert!(!lockout(grant(&token, PORTAL_SECRET)), "people's sessions end");
    assert!(lockout(refreshes(&token)));
}
