//! What was issued ends with whom it depends on: the inputs with which ended accounts once went on.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass_core::api::step::drive;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::client::Client;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::scope::Scope;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, KIM_PASSWORD, NOON, PORTAL_SECRET, asks_for_token, inputs, posts, presents,
    refreshes, request,
};
use gatepass_tests::memory::Memory;
use serde_json::{Value, json};

const ISSUER: &str = "http://gate.example";

/// A server with a store in memory; everything happens within one second.
struct InMemoryServer {
    engine: Engine,
    store: Memory,
    asked: u64,
}

impl InMemoryServer {
    fn new() -> Self {
        Self { engine: fixtures::engine(ISSUER), store: Memory::new(fixtures::tables()), asked: 0 }
    }

    fn send(&mut self, request: Request) -> (u16, Value) {
        self.asked += 1;
        let response = drive(&self.engine, &self.store, request, inputs(NOON, self.asked));
        (response.status(), serde_json::from_slice(response.body()).unwrap_or_default())
    }

    fn service_token(&mut self, id: &str, secret: &str, scope: &str) -> String {
        let (status, body) = self.send(asks_for_token(id, secret, scope));
        assert_eq!(status, 200, "{body}");
        text(&body, "access_token")
    }

    fn ticket(&mut self, by: &str, asked: &Value) -> String {
        let (status, body) = self.send(request("/auth/generate-ticket", &format!("Bearer {by}"), asked));
        assert_eq!(status, 200, "{body}");
        text(&body, "ticket")
    }

    fn signed_in(&mut self, ticket: &str) -> Value {
        let (status, body) = self.send(presents(ticket));
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Returns the status of `/userinfo`, and true if introspection by the portal says active.
    fn shown(&mut self, token: &str) -> (u16, bool) {
        let asked = Request { method: "GET".into(), ..bearer("/userinfo", token) };
        let (status, _) = self.send(asked);
        let (_, said) =
            self.send(posts("/oauth2/introspect", "watch", PORTAL_SECRET, &format!("token={token}")));
        (status, said["active"] == true)
    }

    fn client(&self, id: &str) -> Client {
        self.store.with(|tables| tables.clients[&client_id(id)].clone())
    }

    fn commit(&self, changes: Vec<Change>) {
        assert_eq!(self.store.commit(&changes.into()), Outcome::Applied);
    }

    fn disable(&self, id: &str) {
        let mut client = self.client(id);
        client.disable();
        self.commit(vec![Change::UpdateClient(client)]);
    }

    fn enable(&self, id: &str) {
        let mut client = self.client(id);
        client.enable();
        self.commit(vec![Change::UpdateClient(client)]);
    }

    fn delete(&self, id: &str) {
        self.commit(vec![Change::DeleteClient(client_id(id))]);
    }

    /// Deletes a client and adds it anew, in the same second.
    fn add_anew(&self, id: &str, scope: &str) {
        let scope = Scope::parse(scope).expect("a scope");
        let anew = Client { scope, epoch: 4_711, created_at: NOON, revision: 0, ..self.client(id) };
        self.commit(vec![Change::DeleteClient(client_id(id)), Change::InsertClient(anew)]);
    }

    fn add(&self, id: &str, like: &str) {
        let client = Client { id: client_id(id), epoch: 12, ..self.client(like) };
        self.commit(vec![Change::InsertClient(client)]);
    }
}

fn client_id(id: &str) -> ClientId {
    ClientId::parse(id).expect("an id")
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("no {member} in {body}")).to_owned()
}

fn bearer(path: &str, token: &str) -> Request {
    request(path, &format!("Bearer {token}"), &Value::Null)
}

const SCOPE: &str = "ticket:issue ticket:impersonate profile email phone";

/// Ends a client in one way.
type EndClient = fn(&InMemoryServer, &str);

const ENDS: [(&str, EndClient); 4] = [
    ("disabled", InMemoryServer::disable),
    ("disabled and enabled again", |server, id| {
        server.disable(id);
        server.enable(id);
    }),
    ("deleted", InMemoryServer::delete),
    ("deleted and added within one second", |server, id| {
        let scope = server.client(id).scope;
        server.add_anew(id, scope.as_str());
    }),
];

#[test]
fn a_client_that_ends_takes_everything_along_that_was_issued_for_it() {
    for (what, ends) in ENDS {
        let mut server = InMemoryServer::new();
        server.add("watch", "portal");
        let service = server.service_token("portal", PORTAL_SECRET, "orders:read");
        let issuer = server.service_token("backend", BACKEND_SECRET, "ticket:issue");
        let for_portal = |bind| json!({"user_id": "usr_alice", "audience": "portal", "bind": bind});
        let ticket = server.ticket(&issuer, &for_portal(false));
        let unredeemed = server.ticket(&issuer, &for_portal(false));
        let bound = server.ticket(&issuer, &for_portal(true));
        let session = server.signed_in(&ticket);
        let (access, refresh) = (text(&session, "access_token"), text(&session, "refresh_token"));
        assert_eq!((server.shown(&service), server.shown(&access)), ((200, true), (200, true)));
        ends(&server, "portal");
        assert_eq!(server.shown(&service), (401, false), "a service's token of a client {what}");
        assert_eq!(server.shown(&access), (401, false), "a person's token of a client {what}");
        assert_eq!(server.send(refreshes(&refresh)).0, 400, "a refresh token of a client {what}");
        assert_eq!(server.send(presents(&unredeemed)).0, 400, "a ticket for a client {what}");
        let basic = posts("", "portal", PORTAL_SECRET, "").headers.pop().expect("credentials");
        let mut presented = presents(&bound);
        presented.headers.push(basic);
        assert_eq!(server.send(presented).0, 400, "a bound ticket for a client {what}");
    }
}

#[test]
fn an_issuer_that_ends_takes_along_what_it_made_for_other_clients() {
    for (what, ends) in ENDS {
        let mut server = InMemoryServer::new();
        server.add("watch", "portal");
        let issuer = server.service_token("backend", BACKEND_SECRET, "ticket:issue");
        let asked = json!({"user_id": "usr_alice", "audience": "portal"});
        let (ticket, unredeemed) = (server.ticket(&issuer, &asked), server.ticket(&issuer, &asked));
        let session = server.signed_in(&ticket);
        let (access, refresh) = (text(&session, "access_token"), text(&session, "refresh_token"));
        ends(&server, "backend");
        assert_eq!(server.send(presents(&unredeemed)).0, 400, "a ticket by an issuer {what}");
        assert_eq!(server.shown(&access), (401, false), "a person's token by an issuer {what}");
        assert_eq!(server.send(refreshes(&refresh)).0, 400, "a refresh token by an issuer {what}");
        let again = request("/auth/generate-ticket", &format!("Bearer {issuer}"), &asked);
        assert_eq!(server.send(again).0, 401, "a ticket is asked for by an issuer {what}");
    }
}

#[test]
fn an_issuer_with_less_scope_than_before_signs_nobody_in_with_more() {
    let mut server = InMemoryServer::new();
    let issuer = server.service_token("backend", BACKEND_SECRET, "ticket:issue");
    let asked = json!({"user_id": "usr_alice", "audience": "portal", "scope": "profile email"});
    let (anew, narrowed) = (server.ticket(&issuer, &asked), server.ticket(&issuer, &asked));
    let session = server.ticket(&issuer, &asked);
    let refresh = text(&server.signed_in(&session), "refresh_token");
    let mut client = server.client("backend");
    client.scope = Scope::parse("ticket:issue").expect("a scope");
    server.commit(vec![Change::UpdateClient(client)]);
    assert_eq!(server.send(presents(&narrowed)).0, 400, "its scope was narrowed");
    let (status, refreshed) = server.send(refreshes(&refresh));
    assert_eq!((status, scope_of(&refreshed)), (200, "profile".into()), "the user scope is left");
    server.add_anew("backend", "ticket:issue");
    assert_eq!(server.send(presents(&anew)).0, 400, "it was added anew with less");
}

fn scope_of(body: &Value) -> String {
    text(&segment(&text(body, "access_token"), 1), "scope")
}

fn segment(token: &str, number: usize) -> Value {
    let segment = token.split('.').nth(number).expect("a segment");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).expect("base64url")).expect("JSON")
}

#[test]
fn a_client_called_admin_is_no_exception() {
    for (what, ends) in ENDS {
        let mut server = InMemoryServer::new();
        server.add("watch", "portal");
        server.add("admin", "backend");
        let by_command = fixtures::issue(&server.engine, &server.store, "usr_boss", inputs(NOON, 900));
        let by_command = text(&server.signed_in(&by_command), "refresh_token");
        let issuer = server.service_token("admin", BACKEND_SECRET, "ticket:issue");
        let ticket = server.ticket(&issuer, &json!({"user_id": "usr_alice"}));
        let session = server.signed_in(&ticket);
        ends(&server, "admin");
        assert_eq!(server.send(refreshes(&text(&session, "refresh_token"))).0, 400, "admin was {what}");
        assert_eq!(server.shown(&text(&session, "access_token")), (401, false), "admin was {what}");
        let (status, body) = server.send(refreshes(&by_command));
        assert_eq!(status, 200, "the command line rests on no client, and admin was {what}: {body}");
    }
}

#[test]
fn a_restricted_session_reads_like_none() {
    let mut server = InMemoryServer::new();
    server.add("watch", "portal");
    let body = json!({"identity": "kim", "password": KIM_PASSWORD});
    let (status, body) = server.send(request("/auth/login", "", &body));
    let told = (status, &body["must_change_password"], &body["user"], &body["refresh_token"]);
    assert_eq!(told, (200, &json!(true), &Value::Null, &Value::Null));
    let token = text(&body, "access_token");
    let (header, claims) = (segment(&token, 0), segment(&token, 1));
    assert_eq!((&header["typ"], &claims["aud"]), (&json!("restricted+jwt"), &json!(ISSUER)));
    assert_eq!(server.shown(&token), (401, false));
}

#[test]
fn the_type_of_a_token_and_the_purpose_of_its_session_agree() {
    let mut server = InMemoryServer::new();
    server.add("watch", "portal");
    let body = json!({"identity": "kim", "password": KIM_PASSWORD});
    let restricted = text(&server.send(request("/auth/login", "", &body)).1, "access_token");
    let ticket = fixtures::issue(&server.engine, &server.store, "usr_boss", inputs(NOON, 900));
    let full = text(&server.signed_in(&ticket), "access_token");
    let service = server.service_token("portal", PORTAL_SECRET, "orders:read");
    // The same claims under the other type, signed by the server's own key.
    let as_type = |token: &str, token_type: &str| {
        fixtures::signing_key().sign(token_type, segment(token, 1).to_string().as_bytes()).expect("a token")
    };
    assert_eq!(server.shown(&as_type(&full, "at+jwt")), (200, true));
    for (what, token) in [
        ("a full session's", as_type(&full, "restricted+jwt")),
        ("a service's", as_type(&service, "restricted+jwt")),
        ("a restricted session's", as_type(&restricted, "at+jwt")),
    ] {
        assert_eq!(server.shown(&token), (401, false), "{what}");
        for path in ["/auth/me/sessions", "/auth/me/password", "/mfa/totp/devices", "/auth/generate-ticket"] {
            let method = if path.ends_with("password") { "PUT" } else { "GET" };
            let method = if path.ends_with("ticket") { "POST" } else { method };
            let asked = Request { method: method.into(), ..bearer(path, &token) };
            assert_eq!(server.send(asked).0, 401, "{what} at {path}");
        }
        assert!(server.engine.verify(&token, NOON).is_err() || what.starts_with("a restricted"), "{what}");
    }
    assert!(server.engine.verify(&restricted, NOON).is_err(), "to an embedder it is no access token");
}

#[test]
fn the_scope_of_a_service_is_what_its_client_may_have_now() {
    let mut server = InMemoryServer::new();
    server.add("watch", "portal");
    let token = server.service_token("backend", BACKEND_SECRET, SCOPE);
    let mut client = server.client("backend");
    client.scope = Scope::parse("ticket:issue profile").expect("a scope");
    server.commit(vec![Change::UpdateClient(client)]);
    let asked = posts("/oauth2/introspect", "watch", PORTAL_SECRET, &format!("token={token}"));
    assert_eq!(server.send(asked).1["scope"], "ticket:issue profile");
}
