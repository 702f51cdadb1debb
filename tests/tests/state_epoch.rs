//! Older state is put back, which changes the state epoch: everything issued before is refused as if it were over, and
//! what is issued afterwards is good.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::sync::Arc;

use gatepass_core::admin::tickets::IssueTicket;
use gatepass_core::api::reply::Reply;
use gatepass_core::api::step::{Commit, Step};
use gatepass_core::base::time::Time;
use gatepass_core::base::warning::{Warning, Warnings};
use gatepass_core::http::request::Request;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::id::UserRef;
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_core::store::change::Outcome;
use gatepass_core::store::query::Query;
use gatepass_tests::administrator;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PAM_PASSWORD, PORTAL_SECRET, UNKNOWN_REFRESH_TOKEN, asks_for_token, body,
    claims, grants, impersonates, posts, presents, presents_as, refreshes, request, revokes, text, user_id,
};
use gatepass_tests::in_memory_server::InMemoryServer;
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::totp::{self, BACKUP};
use serde_json::{Value, json};

/// The time of most tests: after the grace of a refresh token that was used at noon.
const LATER: Time = Time::from_unix(1_750_000_100);

fn ask(server: &InMemoryServer, asked: Request) -> Reply {
    server.send_at(LATER, asked)
}

fn issue(server: &InMemoryServer, user: &str) -> String {
    fixtures::issue(&server.engine, &server.store, user, server.inputs(NOON))
}

/// Opens a session of `user`, and returns the answer.
fn sign_in(server: &InMemoryServer, user: &str) -> Value {
    let ticket = fixtures::issue(&server.engine, &server.store, user, server.inputs(LATER));
    body(&ask(server, presents(&ticket)))
}

/// Returns a token of `backend`.
fn service_token(server: &InMemoryServer) -> String {
    let scope = "ticket:issue ticket:impersonate";
    text(&body(&ask(server, asks_for_token("backend", BACKEND_SECRET, scope))), "access_token")
}

fn put_back(server: &InMemoryServer, epoch: u64) {
    server.store.with(|tables| tables.state_epoch = epoch);
}

/// Sends a request, and checks that it writes only one audit row with the reason of its refusal.
fn check_refused(server: &InMemoryServer, kind: Kind, asked: Request) -> Reply {
    let mut before = server.tables();
    let response = ask(server, asked);
    let mut after = server.tables();
    let Event { kind: written, refusal, .. } = after.audit.pop().expect("a row");
    assert_eq!((written, refusal), (kind, Some(Refusal::StateSuperseded)));
    assert_eq!(response.refusal(), Some(Refusal::StateSuperseded));
    before.audit.truncate(after.audit.len());
    assert_eq!(after, before);
    response
}

/// Returns everything on the wire but the id of the request.
fn wire(response: &Reply) -> (u16, Vec<(&'static str, String)>, Value) {
    let headers = response.headers().filter(|(name, _)| *name != "x-request-id");
    let headers = headers.map(|(name, value)| (name, value.to_owned())).collect();
    (response.status(), headers, body(response))
}

#[test]
fn a_superseded_ticket_is_refused_as_a_spent_one() {
    let server = InMemoryServer::default();
    let (ticket, other) = (issue(&server, "alice"), issue(&server, "alice"));
    assert_eq!(ask(&server, presents(&other)).status(), 200);
    let spent = ask(&server, presents(&other));
    for epoch in [7, u64::MAX, 1] {
        put_back(&server, epoch);
        for ticket in [&ticket, &other] {
            let refused = check_refused(&server, Kind::TicketRefused, presents(ticket));
            assert_eq!(wire(&refused), wire(&spent));
            assert_eq!((refused.attempt(), spent.attempt()), (None, None));
        }
    }
    let ticket = issue(&server, "alice");
    let signed_in = body(&ask(&server, presents(&ticket)));
    assert_eq!(claims(&text(&signed_in, "access_token")).get("state_epoch"), None);
    let tables = server.tables();
    let issued = tables.tickets.values().map(|t| (t.state_epoch, t.state == TicketState::Live));
    assert!(issued.clone().any(|issued| issued == (0, true)) && issued.clone().any(|i| i == (1, false)));
    assert_eq!(tables.sessions.values().map(|s| s.state_epoch).collect::<Vec<_>>(), [0, 1]);
}

/// Makes a core that asks fay for her factor, in a state epoch.
fn fay(epoch: u64) -> InMemoryServer {
    let mut tables = Tables { state_epoch: epoch, ..fixtures::tables() };
    totp::enrol(&mut tables, &user_id("fay"));
    let device = tables.devices[0].clone();
    totp::add_backup_code(&mut tables, &device, "another");
    InMemoryServer::new(fixtures::asking(), tables)
}

fn answers(challenge: &str, code: &str) -> Request {
    let shown = json!({"challenge_token": challenge, "code": code, "mfa_method": "backup_code"});
    request("/auth/mfa/verify-challenge", "", &shown)
}

fn by_pam(bearer: &str, method: &str, path: &str, body: Value) -> Request {
    Request { method: method.into(), ..request(path, bearer, &body) }
}

#[test]
fn a_superseded_challenge_is_refused_as_a_closed_one() {
    let server = fay(0);
    let challenge = || text(&sign_in(&server, "fay"), "challenge_token");
    let (open, answered) = (challenge(), challenge());
    assert_eq!(ask(&server, answers(&answered, BACKUP)).status(), 200);
    let closed = ask(&server, answers(&answered, BACKUP));
    put_back(&server, 7);
    for (challenge, code) in [(&open, "another"), (&open, "wrong"), (&answered, "another")] {
        let refused = check_refused(&server, Kind::ChallengeRefused, answers(challenge, code));
        assert_eq!(wire(&refused), wire(&closed));
    }
    let new = challenge();
    assert_eq!(ask(&server, answers(&new, "another")).status(), 200);
    let tables = server.tables();
    let epochs = |of: &mut dyn Iterator<Item = u64>| of.filter(|epoch| *epoch == 7).count();
    assert_eq!(epochs(&mut tables.challenges.values().map(|c| c.state_epoch)), 1);
    assert_eq!(epochs(&mut tables.sessions.values().map(|s| s.state_epoch)), 1);
}

#[test]
fn a_superseded_refresh_token_ends_nothing() {
    let server = InMemoryServer::default();
    let first = text(&impersonates(&server.engine, &server.store), "refresh_token");
    let next = text(&body(&server.send_at(NOON, refreshes(&first))), "refresh_token");
    put_back(&server, 7);
    let unknown = ask(&server, refreshes(UNKNOWN_REFRESH_TOKEN));
    let unknown_grant = ask(&server, grants(UNKNOWN_REFRESH_TOKEN));
    // One that was used long ago, and the one that was not.
    for token in [&first, &next] {
        let refused = check_refused(&server, Kind::RefreshRefused, refreshes(token));
        assert_eq!(wire(&refused), wire(&unknown));
        let refused = check_refused(&server, Kind::RefreshRefused, grants(token));
        assert_eq!(wire(&refused), wire(&unknown_grant));
    }
    assert!(server.tables().sessions.values().all(|session| session.ended_at.is_none()));
    // One that was just used: it does not return the same successor.
    let ticket = issue(&server, "alice");
    let token = text(&body(&ask(&server, presents(&ticket))), "refresh_token");
    assert_eq!(ask(&server, refreshes(&token)).status(), 200);
    assert_eq!(ask(&server, refreshes(&token)).status(), 200);
    put_back(&server, 8);
    assert_eq!(wire(&check_refused(&server, Kind::RefreshRefused, refreshes(&token))), wire(&unknown));
}

/// Returns every request of the holder of `token` at our own endpoints.
fn of_the_holder(token: &str) -> Vec<Request> {
    let bearer = format!("Bearer {token}");
    let asks = |method: &str, path: &str, body: Value| Request {
        method: method.into(),
        ..request(path, &bearer, &body)
    };
    vec![
        asks("GET", "/userinfo", Value::Null),
        asks("GET", "/auth/me/sessions", Value::Null),
        asks("DELETE", "/auth/me/sessions", Value::Null),
        asks("DELETE", "/auth/me/sessions/ses_1", Value::Null),
        asks("PUT", "/auth/me/password", json!({"old_password": "one", "new_password": "two"})),
        asks("GET", "/mfa/totp/devices", Value::Null),
        asks("POST", "/mfa/totp/setup", json!({})),
        asks("POST", "/mfa/totp/verify", json!({"code": "123456"})),
        asks("DELETE", "/mfa/totp/devices/dev_1", json!({"code": "123456"})),
        asks("POST", "/auth/generate-ticket", json!({"user_id": "usr_alice"})),
    ]
}

fn introspects(token: &str) -> Request {
    posts("/oauth2/introspect", "portal", PORTAL_SECRET, &format!("token={token}"))
}

#[test]
fn a_superseded_access_token_of_a_person_is_one_whose_session_is_over() {
    let server = InMemoryServer::default();
    let signed_in = impersonates(&server.engine, &server.store);
    let (token, refresh) = (text(&signed_in, "access_token"), text(&signed_in, "refresh_token"));
    assert_eq!(body(&ask(&server, introspects(&token)))["active"], true);
    assert_eq!(body(&ask(&server, introspects(&refresh)))["active"], true);
    put_back(&server, 7);
    let before = server.tables();
    let refused: Vec<_> = of_the_holder(&token).into_iter().map(|asked| ask(&server, asked)).collect();
    for kind in [&token, &refresh] {
        assert_eq!(body(&ask(&server, introspects(kind))), json!({"active": false}));
        assert_eq!(ask(&server, revokes(kind)).status(), 200);
    }
    // Not even the revocations wrote anything.
    assert_eq!(server.tables(), before);
    put_back(&server, 0);
    server.store.with(|tables| tables.sessions.values_mut().for_each(|s| s.ended_at = Some(NOON)));
    for (asked, refused) in of_the_holder(&token).into_iter().zip(refused) {
        let path = asked.path().to_owned();
        let over = ask(&server, asked);
        assert_eq!(over.status(), 401, "{path}");
        assert_eq!(wire(&refused), wire(&over), "{path}");
        let reasons = (refused.refusal(), over.refusal());
        assert_eq!(reasons, (Some(Refusal::StateSuperseded), Some(Refusal::SessionOver)), "{path}");
    }
}

#[test]
fn a_superseded_session_is_neither_listed_nor_ended() {
    let server = InMemoryServer::default();
    sign_in(&server, "alice");
    put_back(&server, 7);
    let bearer = format!("Bearer {}", text(&sign_in(&server, "alice"), "access_token"));
    let asks =
        |method: &str, path: &str| Request { method: method.into(), ..request(path, &bearer, &Value::Null) };
    let listed = body(&ask(&server, asks("GET", "/auth/me/sessions")));
    let listed = listed["data"].as_array().expect("a list").clone();
    assert_eq!(listed.iter().map(|session| &session["current"]).collect::<Vec<_>>(), [&json!(true)]);
    let tables = server.tables();
    let old = tables.sessions.values().find(|session| session.state_epoch == 0).expect("the former session");
    assert_eq!(ask(&server, asks("DELETE", &format!("/auth/me/sessions/{}", old.id))).status(), 404);
    assert_eq!(server.tables(), tables);
}

#[test]
fn a_services_token_names_its_state_epoch() {
    let server = InMemoryServer::default();
    let mut known = vec![];
    for epoch in [0, 7, u64::MAX >> 1, 3] {
        put_back(&server, epoch);
        let token = service_token(&server);
        let named = claims(&token)["state_epoch"].as_u64();
        assert_eq!(named, Some(epoch).filter(|epoch| *epoch != 0));
        known.push((epoch, token));
        for (of, token) in &known {
            let good = *of == epoch;
            let bearer = format!("Bearer {token}");
            let asked = request("/userinfo", &bearer, &Value::Null);
            let response = ask(&server, Request { method: "GET".into(), ..asked });
            let reason = (!good).then_some(Refusal::StateSuperseded);
            assert_eq!((response.status() == 200, response.refusal()), (good, reason), "{of} in {epoch}");
            assert_eq!(good, response.header("www-authenticate").is_none(), "{of} in {epoch}");
            assert_eq!(body(&ask(&server, introspects(token)))["active"], good, "{of} in {epoch}");
            let issues = request("/auth/generate-ticket", &bearer, &json!({"user_id": "usr_alice"}));
            let issued = ask(&server, issues).status();
            assert_eq!(issued, if good { 200 } else { 401 }, "{of} in {epoch}");
            let before = server.tables().revoked.len();
            let gives_up = posts("/oauth2/revoke", "backend", BACKEND_SECRET, &format!("token={token}"));
            let copy = Memory::new(server.tables());
            assert_eq!(drive(&server.engine, &copy, gives_up, server.inputs(LATER)).status(), 200);
            assert_eq!(copy.with(|tables| tables.revoked.len() - before), usize::from(good));
        }
    }
    assert!(server.tables().tickets.values().any(|ticket| ticket.state_epoch == 3));
}

/// Returns the first commit of a flow that has begun.
fn commit_of(server: &InMemoryServer, mut step: Step) -> Commit {
    loop {
        step = match step {
            Step::Read(read) => {
                let found = server.store.read(read.query());
                read.resume(&server.engine, found)
            }
            Step::Guess(guess) => guess.allow(&server.engine),
            Step::HashPassword(stretch) => stretch.run(&server.engine),
            Step::Task(task) => task.refuse(),
            Step::Commit(commit) => return commit,
            Step::Reply(response) => panic!("it is answered {} {}", response.status(), body(&response)),
        };
    }
}

#[test]
fn a_commit_that_uses_or_issues_something_rests_on_the_state_epoch() {
    let server = fay(7);
    let service = format!("Bearer {}", service_token(&server));
    let issues = |asked: Value| request("/auth/generate-ticket", &service, &asked);
    let bound = issues(json!({"user_id": "usr_alice", "audience": "portal", "bind": true}));
    let bound = text(&body(&ask(&server, bound)), "ticket");
    let challenge = text(&sign_in(&server, "fay"), "challenge_token");
    let refresh = text(&sign_in(&server, "alice"), "refresh_token");
    let used = text(&sign_in(&server, "alice"), "refresh_token");
    assert_eq!(ask(&server, refreshes(&used)).status(), 200);
    let login = || request("/auth/login", "", &json!({"identity": "pam", "password": PAM_PASSWORD}));
    let pam = format!("Bearer {}", text(&body(&ask(&server, login())), "access_token"));
    let sessions = body(&ask(&server, by_pam(&pam, "GET", "/auth/me/sessions", Value::Null)));
    let own = format!("/auth/me/sessions/{}", text(&sessions["data"][0], "id"));
    let asked = json!({"old_password": PAM_PASSWORD, "new_password": "another password"});
    let requests = [
        ("a ticket is redeemed", presents(&issue(&server, "alice"))),
        ("a ticket is redeemed for a challenge", presents(&issue(&server, "fay"))),
        ("a ticket is spent in vain", presents_as("backend", BACKEND_SECRET, &bound)),
        ("a password signs in", login()),
        ("a challenge is answered", answers(&challenge, BACKUP)),
        ("a session is refreshed", refreshes(&refresh)),
        ("the same successor comes again", refreshes(&used)),
        ("a ticket is issued", issues(json!({"user_id": "usr_alice"}))),
        ("a session is ended", by_pam(&pam, "DELETE", &own, Value::Null)),
        ("every session is ended", by_pam(&pam, "DELETE", "/auth/me/sessions", Value::Null)),
        ("a device is set up", by_pam(&pam, "POST", "/mfa/totp/setup", json!({}))),
        ("a password is changed", by_pam(&pam, "PUT", "/auth/me/password", asked)),
    ];
    let committed = requests.map(|(what, asked)| {
        let begun = server.engine.handle(asked, server.inputs(LATER));
        (what, Arc::clone(commit_of(&server, begun).changes()))
    });
    let by_command = IssueTicket { request: TicketRequest::new(UserRef::Username("alice".into())) };
    let (settings, read) = (server.engine.settings(), |query: &Query| server.store.read(query));
    let by_command = administrator::decide(by_command, server.inputs(LATER), settings, &read);
    let by_command = Arc::clone(by_command.expect("a commit").changes());
    for (what, changes) in committed.into_iter().chain([("a command issues a ticket", by_command)]) {
        for epoch in [0, 6, 8, 7] {
            let mut tables = server.tables();
            tables.state_epoch = epoch;
            let before = tables.clone();
            let applied = tables.commit(&changes) == Outcome::Applied;
            assert_eq!((applied, tables != before), (epoch == 7, epoch == 7), "{what} in {epoch}");
        }
    }
}

#[test]
fn warnings_are_shown_beside_readiness() {
    let server = InMemoryServer::default();
    let ask = |path: &str, warnings| {
        let asked = Request { method: "GET".into(), ..request(path, "", &Value::Null) };
        let inputs = RequestInputs { warnings, ..server.inputs(NOON) };
        body(&drive(&server.engine, &server.store, asked, inputs))
    };
    let warned = Warnings::NONE.with(Warning::WitnessNotWritten);
    assert_eq!(ask("/readyz", Warnings::NONE), json!({"status": "ready"}));
    assert_eq!(ask("/readyz", warned), json!({"status": "ready", "warnings": ["witness-not-written"]}));
    assert_eq!(ask("/healthz", warned), json!({"status": "ok"}));
}
