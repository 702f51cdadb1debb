//! Older state is put back, which changes the state epoch: everything issued before is refused as if it were over, and
//! what is issued afterwards is good.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass_core::api::step::{Commit, Step, drive};
use gatepass_core::base::secret::SecretBytes;
use gatepass_core::base::time::Time;
use gatepass_core::base::warning::{Warning, Warnings};
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::http::response::Response;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::factor::{BackupDigest, OtpParameters, TotpDevice};
use gatepass_core::records::id::{DeviceId, UserId, UserRef};
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_core::store::change::Outcome;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PAM_PASSWORD, PORTAL_SECRET, UNKNOWN_REFRESH_TOKEN, asks_for_token, grants,
    impersonates, inputs, posts, presents, refreshes, request, revokes,
};
use gatepass_tests::memory::{Memory, Tables};
use serde_json::{Value, json};

const BACKUP: &str = "AAAA-BBBB-CCCC-DDDD";

/// The time of most tests: after the grace of a refresh token that was used at noon.
const LATER: Time = Time::from_unix(1_750_000_100);

/// The core with a store in memory.
struct InMemoryServer {
    engine: Engine,
    store: Memory,
    asked: std::cell::Cell<u64>,
}

impl InMemoryServer {
    fn new() -> Self {
        Self::of(fixtures::engine("http://gate.example"), fixtures::tables())
    }

    fn of(engine: Engine, tables: Tables) -> Self {
        Self { engine, store: Memory::new(tables), asked: 10.into() }
    }

    fn inputs(&self, now: Time) -> RequestInputs {
        self.asked.set(self.asked.get() + 1);
        inputs(now, self.asked.get())
    }

    fn ask_at(&self, now: Time, asked: Request) -> Response {
        drive(&self.engine, &self.store, asked, self.inputs(now))
    }

    fn ask(&self, asked: Request) -> Response {
        self.ask_at(LATER, asked)
    }

    fn issue(&self, user: &str) -> String {
        fixtures::issue(&self.engine, &self.store, user, self.inputs(NOON))
    }

    /// Opens a session of `user`, and returns the answer.
    fn sign_in(&self, user: &str) -> Value {
        let ticket = fixtures::issue(&self.engine, &self.store, user, self.inputs(LATER));
        body(&self.ask(presents(&ticket)))
    }

    /// Returns a token of `backend`.
    fn service_token(&self) -> String {
        let scope = "ticket:issue ticket:impersonate";
        text(&body(&self.ask(asks_for_token("backend", BACKEND_SECRET, scope))), "access_token")
    }

    fn put_back(&self, epoch: u64) {
        self.store.with(|tables| tables.state_epoch = epoch);
    }

    fn tables(&self) -> Tables {
        self.store.with(|tables| tables.clone())
    }

    /// Sends a request, and checks that it writes only one audit row with the reason of its refusal.
    fn refused(&self, kind: Kind, asked: Request) -> Response {
        let mut before = self.tables();
        let response = self.ask(asked);
        let mut after = self.tables();
        let Event { kind: written, refusal, .. } = after.audit.pop().expect("a row");
        assert_eq!((written, refusal), (kind, Some(Refusal::StateSuperseded)));
        assert_eq!(response.refusal(), Some(Refusal::StateSuperseded));
        before.audit.truncate(after.audit.len());
        assert_eq!(after, before);
        response
    }
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(response.body()).expect("JSON")
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().expect("a text").to_owned()
}

/// Returns everything on the wire.
fn wire(response: &Response) -> (u16, Vec<(&'static str, String)>, Value) {
    let headers = response.headers().map(|(name, value)| (name, value.to_owned())).collect();
    (response.status(), headers, body(response))
}

fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims")).expect("base64url");
    serde_json::from_slice(&payload).expect("JSON")
}

#[test]
fn a_superseded_ticket_is_refused_as_a_spent_one() {
    let server = InMemoryServer::new();
    let (ticket, other) = (server.issue("alice"), server.issue("alice"));
    assert_eq!(server.ask(presents(&other)).status(), 200);
    let spent = server.ask(presents(&other));
    for epoch in [7, u64::MAX, 1] {
        server.put_back(epoch);
        for ticket in [&ticket, &other] {
            let refused = server.refused(Kind::TicketRefused, presents(ticket));
            assert_eq!(wire(&refused), wire(&spent));
            assert_eq!(refused.refuses_a_guess(), spent.refuses_a_guess());
        }
    }
    let ticket = server.issue("alice");
    let signed_in = body(&server.ask(presents(&ticket)));
    assert_eq!(claims(&text(&signed_in, "access_token")).get("state_epoch"), None);
    let tables = server.tables();
    let issued = tables.tickets.values().map(|t| (t.state_epoch, t.state == TicketState::Live));
    assert!(issued.clone().any(|issued| issued == (0, true)) && issued.clone().any(|i| i == (1, false)));
    assert_eq!(tables.sessions.values().map(|s| s.state_epoch).collect::<Vec<_>>(), [0, 1]);
}

/// Makes a core that asks fay for her factor, in a state epoch.
fn fay(epoch: u64) -> InMemoryServer {
    let mut tables = Tables { state_epoch: epoch, ..fixtures::tables() };
    let (fay, device) = (UserId::parse("usr_fay").expect("an id"), DeviceId::parse("dev_1").expect("an id"));
    tables.backup_codes.insert((fay.clone(), BackupDigest::of(&fay, BACKUP)), device.clone());
    tables.backup_codes.insert((fay.clone(), BackupDigest::of(&fay, "another")), device.clone());
    tables.devices.push(TotpDevice {
        id: device,
        user_id: fay,
        name: None,
        parameters: OtpParameters::DEFAULT,
        secret: SecretBytes::new(b"12345678901234567890".to_vec()),
        created_at: NOON,
        verified_at: Some(NOON),
        verified_by: None,
        vouched_for: true,
        last_step: 0,
    });
    InMemoryServer::of(fixtures::asking(), tables)
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
    let challenge = || text(&server.sign_in("fay"), "challenge_token");
    let (open, answered) = (challenge(), challenge());
    assert_eq!(server.ask(answers(&answered, BACKUP)).status(), 200);
    let closed = server.ask(answers(&answered, BACKUP));
    server.put_back(7);
    for (challenge, code) in [(&open, "another"), (&open, "wrong"), (&answered, "another")] {
        let refused = server.refused(Kind::ChallengeRefused, answers(challenge, code));
        assert_eq!(wire(&refused), wire(&closed));
    }
    let new = challenge();
    assert_eq!(server.ask(answers(&new, "another")).status(), 200);
    let tables = server.tables();
    let epochs = |of: &mut dyn Iterator<Item = u64>| of.filter(|epoch| *epoch == 7).count();
    assert_eq!(epochs(&mut tables.challenges.values().map(|c| c.state_epoch)), 1);
    assert_eq!(epochs(&mut tables.sessions.values().map(|s| s.state_epoch)), 1);
}

#[test]
fn a_superseded_refresh_token_ends_nothing() {
    let server = InMemoryServer::new();
    let first = text(&impersonates(&server.engine, &server.store), "refresh_token");
    let next = text(&body(&server.ask_at(NOON, refreshes(&first))), "refresh_token");
    server.put_back(7);
    let unknown = server.ask(refreshes(UNKNOWN_REFRESH_TOKEN));
    let unknown_grant = server.ask(grants(UNKNOWN_REFRESH_TOKEN));
    // One that was used long ago, and the one that was not.
    for token in [&first, &next] {
        let refused = server.refused(Kind::RefreshRefused, refreshes(token));
        assert_eq!(wire(&refused), wire(&unknown));
        let refused = server.refused(Kind::RefreshRefused, grants(token));
        assert_eq!(wire(&refused), wire(&unknown_grant));
    }
    assert!(server.tables().sessions.values().all(|session| session.ended_at.is_none()));
    // One that was just used: it does not return the same successor.
    let ticket = server.issue("alice");
    let token = text(&body(&server.ask(presents(&ticket))), "refresh_token");
    assert_eq!(server.ask(refreshes(&token)).status(), 200);
    assert_eq!(server.ask(refreshes(&token)).status(), 200);
    server.put_back(8);
    assert_eq!(wire(&server.refused(Kind::RefreshRefused, refreshes(&token))), wire(&unknown));
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
    let server = InMemoryServer::new();
    let signed_in = impersonates(&server.engine, &server.store);
    let (token, refresh) = (text(&signed_in, "access_token"), text(&signed_in, "refresh_token"));
    assert_eq!(body(&server.ask(introspects(&token)))["active"], true);
    assert_eq!(body(&server.ask(introspects(&refresh)))["active"], true);
    server.put_back(7);
    let before = server.tables();
    let refused: Vec<_> = of_the_holder(&token).into_iter().map(|asked| server.ask(asked)).collect();
    for kind in [&token, &refresh] {
        assert_eq!(body(&server.ask(introspects(kind))), json!({"active": false}));
        assert_eq!(server.ask(revokes(kind)).status(), 200);
    }
    // Not even the revocations wrote anything.
    assert_eq!(server.tables(), before);
    server.put_back(0);
    server.store.with(|tables| tables.sessions.values_mut().for_each(|s| s.ended_at = Some(NOON)));
    for (asked, refused) in of_the_holder(&token).into_iter().zip(refused) {
        let path = asked.path().to_owned();
        let over = server.ask(asked);
        assert_eq!(over.status(), 401, "{path}");
        assert_eq!(wire(&refused), wire(&over), "{path}");
        let reasons = (refused.refusal(), over.refusal());
        assert_eq!(reasons, (Some(Refusal::StateSuperseded), Some(Refusal::SessionOver)), "{path}");
    }
}

#[test]
fn a_superseded_session_is_neither_listed_nor_ended() {
    let server = InMemoryServer::new();
    server.sign_in("alice");
    server.put_back(7);
    let bearer = format!("Bearer {}", text(&server.sign_in("alice"), "access_token"));
    let asks =
        |method: &str, path: &str| Request { method: method.into(), ..request(path, &bearer, &Value::Null) };
    let listed = body(&server.ask(asks("GET", "/auth/me/sessions")));
    let listed = listed["data"].as_array().expect("a list").clone();
    assert_eq!(listed.iter().map(|session| &session["current"]).collect::<Vec<_>>(), [&json!(true)]);
    let tables = server.tables();
    let old = tables.sessions.values().find(|session| session.state_epoch == 0).expect("the former session");
    assert_eq!(server.ask(asks("DELETE", &format!("/auth/me/sessions/{}", old.id))).status(), 404);
    assert_eq!(server.tables(), tables);
}

#[test]
fn a_services_token_names_its_state_epoch() {
    let server = InMemoryServer::new();
    let mut known = vec![];
    for epoch in [0, 7, u64::MAX >> 1, 3] {
        server.put_back(epoch);
        let token = server.service_token();
        let named = claims(&token)["state_epoch"].as_u64();
        assert_eq!(named, Some(epoch).filter(|epoch| *epoch != 0));
        known.push((epoch, token));
        for (of, token) in &known {
            let good = *of == epoch;
            let bearer = format!("Bearer {token}");
            let asked = request("/userinfo", &bearer, &Value::Null);
            let response = server.ask(Request { method: "GET".into(), ..asked });
            let reason = (!good).then_some(Refusal::StateSuperseded);
            assert_eq!((response.status() == 200, response.refusal()), (good, reason), "{of} in {epoch}");
            assert_eq!(good, response.header("www-authenticate").is_none(), "{of} in {epoch}");
            assert_eq!(body(&server.ask(introspects(token)))["active"], good, "{of} in {epoch}");
            let issues = request("/auth/generate-ticket", &bearer, &json!({"user_id": "usr_alice"}));
            let issued = server.ask(issues).status();
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
            Step::HashPassword(stretch) => stretch.run(&server.engine),
            Step::Commit(commit) => return commit,
            Step::Reply(response) => panic!("it is answered {} {}", response.status(), body(&response)),
        };
    }
}

#[test]
fn a_commit_that_uses_or_issues_something_rests_on_the_state_epoch() {
    let server = fay(7);
    let service = format!("Bearer {}", server.service_token());
    let issues = |asked: Value| request("/auth/generate-ticket", &service, &asked);
    let bound = issues(json!({"user_id": "usr_alice", "audience": "portal", "bind": true}));
    let bound = text(&body(&server.ask(bound)), "ticket");
    let challenge = text(&server.sign_in("fay"), "challenge_token");
    let refresh = text(&server.sign_in("alice"), "refresh_token");
    let used = text(&server.sign_in("alice"), "refresh_token");
    assert_eq!(server.ask(refreshes(&used)).status(), 200);
    let login = || request("/auth/login", "", &json!({"identity": "pam", "password": PAM_PASSWORD}));
    let pam = format!("Bearer {}", text(&body(&server.ask(login())), "access_token"));
    let sessions = body(&server.ask(by_pam(&pam, "GET", "/auth/me/sessions", Value::Null)));
    let own = format!("/auth/me/sessions/{}", text(&sessions["data"][0], "id"));
    let asked = json!({"old_password": PAM_PASSWORD, "new_password": "another password"});
    let requests = [
        ("a ticket is redeemed", presents(&server.issue("alice"))),
        ("a ticket is redeemed for a challenge", presents(&server.issue("fay"))),
        ("a ticket is spent in vain", presents(&bound)),
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
    let begun = requests.map(|(what, asked)| (what, server.engine.handle(asked, server.inputs(LATER))));
    let by_command = TicketRequest::new(UserRef::Username("alice".into()));
    let by_command = server.engine.issue_by_command(by_command, server.inputs(LATER));
    for (what, step) in begun.into_iter().chain([("a command issues a ticket", by_command)]) {
        let commit = commit_of(&server, step);
        for epoch in [0, 6, 8, 7] {
            let mut tables = server.tables();
            tables.state_epoch = epoch;
            let before = tables.clone();
            let applied = tables.commit(commit.changes()) == Outcome::Applied;
            assert_eq!((applied, tables != before), (epoch == 7, epoch == 7), "{what} in {epoch}");
        }
    }
}

#[test]
fn warnings_are_shown_beside_readiness() {
    let server = InMemoryServer::new();
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
