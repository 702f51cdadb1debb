//! Everything issued ends with the accounts it depends on: the inputs with which ended accounts once went on.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::http::request::Request;
use gatepass_core::records::client::Client;
use gatepass_core::records::scope::Scope;
use gatepass_core::store::change::Change;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, KIM_PASSWORD, NOON, PORTAL_SECRET, claims, client_id, inputs, posts, presents,
    refreshes, request, segment, text,
};
use gatepass_tests::in_memory_server::{Answer, InMemoryServer};
use serde_json::{Value, json};

const ISSUER: &str = "http://gate.example";

fn issue(server: &InMemoryServer, by: &str, asked: &Value) -> String {
    server.ask(request("/auth/generate-ticket", &format!("Bearer {by}"), asked)).text("ticket")
}

fn signed_in(server: &InMemoryServer, ticket: &str) -> Answer {
    let answer = server.ask(presents(ticket));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// Returns the status of `/userinfo`, and true if introspection says active.
fn shown(server: &InMemoryServer, token: &str) -> (u16, bool) {
    let answer = server.ask(Request { method: "GET".into(), ..bearer("/userinfo", token) });
    let asked = posts("/oauth2/introspect", "watch", PORTAL_SECRET, &format!("token={token}"));
    (answer.status, server.ask(asked).body["active"] == true)
}

/// Deletes a client and adds it anew, in the same second.
fn add_anew(server: &InMemoryServer, id: &str, scope: &str) {
    let scope = Scope::parse(scope).expect("a scope");
    let anew = Client { scope, epoch: 4_711, created_at: NOON, revision: 0, ..server.client(id) };
    server.commit(vec![Change::DeleteClient(client_id(id)), Change::InsertClient(anew)]);
}

/// Returns a server with the client `watch`, which introspects tokens.
fn watched() -> InMemoryServer {
    let server = InMemoryServer::default();
    server.add_client("watch", "portal");
    server
}

fn bearer(path: &str, token: &str) -> Request {
    request(path, &format!("Bearer {token}"), &Value::Null)
}

const SCOPE: &str = "ticket:issue ticket:impersonate profile email phone";

/// Ends a client in one way.
type EndClient = fn(&InMemoryServer, &str);

const ENDS: [(&str, EndClient); 4] = [
    ("disabled", |server, id| server.edit_client(id, Client::disable)),
    ("disabled and enabled again", |server, id| {
        server.edit_client(id, Client::disable);
        server.edit_client(id, Client::enable);
    }),
    ("deleted", InMemoryServer::delete_client),
    ("deleted and added within one second", |server, id| {
        let scope = server.client(id).scope;
        add_anew(server, id, scope.as_str());
    }),
];

#[test]
fn a_client_that_ends_takes_everything_along_that_was_issued_for_it() {
    for (what, ends) in ENDS {
        let server = watched();
        let service = server.service_token("portal", PORTAL_SECRET, "orders:read");
        let issuer = server.service_token("backend", BACKEND_SECRET, "ticket:issue");
        let for_portal = |bind| json!({"user_id": "usr_alice", "audience": "portal", "bind": bind});
        let ticket = issue(&server, &issuer, &for_portal(false));
        let unredeemed = issue(&server, &issuer, &for_portal(false));
        let bound = issue(&server, &issuer, &for_portal(true));
        let session = signed_in(&server, &ticket);
        let (access, refresh) = (session.text("access_token"), session.text("refresh_token"));
        assert_eq!((shown(&server, &service), shown(&server, &access)), ((200, true), (200, true)));
        ends(&server, "portal");
        assert_eq!(shown(&server, &service), (401, false), "a service's token of a client {what}");
        assert_eq!(shown(&server, &access), (401, false), "a person's token of a client {what}");
        assert_eq!(server.ask(refreshes(&refresh)).status, 400, "a refresh token of a client {what}");
        assert_eq!(server.ask(presents(&unredeemed)).status, 400, "a ticket for a client {what}");
        let basic = posts("", "portal", PORTAL_SECRET, "").headers.pop().expect("credentials");
        let mut presented = presents(&bound);
        presented.headers.push(basic);
        // 401 where the client can no longer prove to be anybody.
        let status = server.ask(presented).status;
        assert!([400, 401].contains(&status), "a bound ticket for a client {what}: {status}");
    }
}

#[test]
fn an_issuer_that_ends_takes_along_what_it_made_for_other_clients() {
    for (what, ends) in ENDS {
        let server = watched();
        let issuer = server.service_token("backend", BACKEND_SECRET, "ticket:issue");
        let asked = json!({"user_id": "usr_alice", "audience": "portal"});
        let (ticket, unredeemed) = (issue(&server, &issuer, &asked), issue(&server, &issuer, &asked));
        let session = signed_in(&server, &ticket);
        let (access, refresh) = (session.text("access_token"), session.text("refresh_token"));
        ends(&server, "backend");
        assert_eq!(server.ask(presents(&unredeemed)).status, 400, "a ticket by an issuer {what}");
        assert_eq!(shown(&server, &access), (401, false), "a person's token by an issuer {what}");
        assert_eq!(server.ask(refreshes(&refresh)).status, 400, "a refresh token by an issuer {what}");
        let again = request("/auth/generate-ticket", &format!("Bearer {issuer}"), &asked);
        assert_eq!(server.ask(again).status, 401, "a ticket is asked for by an issuer {what}");
    }
}

#[test]
fn an_issuer_with_less_scope_than_before_signs_nobody_in_with_more() {
    let server = InMemoryServer::default();
    let issuer = server.service_token("backend", BACKEND_SECRET, "ticket:issue");
    let asked = json!({"user_id": "usr_alice", "audience": "portal", "scope": "profile email"});
    let (anew, narrowed) = (issue(&server, &issuer, &asked), issue(&server, &issuer, &asked));
    let session = issue(&server, &issuer, &asked);
    let refresh = signed_in(&server, &session).text("refresh_token");
    server.edit_client("backend", |client| client.scope = Scope::parse("ticket:issue").expect("a scope"));
    assert_eq!(server.ask(presents(&narrowed)).status, 400, "its scope was narrowed");
    let refreshed = server.ask(refreshes(&refresh));
    assert_eq!(
        (refreshed.status, scope_of(&refreshed.text("access_token"))),
        (200, "profile".into()),
        "the user scope is left"
    );
    add_anew(&server, "backend", "ticket:issue");
    assert_eq!(server.ask(presents(&anew)).status, 400, "it was added anew with less");
}

fn scope_of(token: &str) -> String {
    text(&claims(token), "scope")
}

#[test]
fn a_client_called_admin_is_no_exception() {
    for (what, ends) in ENDS {
        let server = watched();
        server.add_client("admin", "backend");
        let by_command = fixtures::issue(&server.engine, &server.store, "usr_boss", inputs(NOON, 900));
        let by_command = signed_in(&server, &by_command).text("refresh_token");
        let issuer = server.service_token("admin", BACKEND_SECRET, "ticket:issue");
        let ticket = issue(&server, &issuer, &json!({"user_id": "usr_alice"}));
        let session = signed_in(&server, &ticket);
        ends(&server, "admin");
        assert_eq!(server.ask(refreshes(&session.text("refresh_token"))).status, 400, "admin was {what}");
        assert_eq!(shown(&server, &session.text("access_token")), (401, false), "admin was {what}");
        let Answer { status, body } = server.ask(refreshes(&by_command));
        assert_eq!(status, 200, "the command line rests on no client, and admin was {what}: {body}");
    }
}

#[test]
fn a_restricted_session_reads_like_none() {
    let server = watched();
    let body = json!({"identity": "kim", "password": KIM_PASSWORD});
    let Answer { status, body } = server.ask(request("/auth/login", "", &body));
    let told = (status, &body["must_change_password"], &body["user"], &body["refresh_token"]);
    assert_eq!(told, (200, &json!(true), &Value::Null, &Value::Null));
    let token = text(&body, "access_token");
    let (header, claims) = (segment(&token, 0), segment(&token, 1));
    assert_eq!((&header["typ"], &claims["aud"]), (&json!("restricted+jwt"), &json!(ISSUER)));
    assert_eq!(shown(&server, &token), (401, false));
}

#[test]
fn the_type_of_a_token_and_the_purpose_of_its_session_agree() {
    let server = watched();
    let body = json!({"identity": "kim", "password": KIM_PASSWORD});
    let restricted = server.ask(request("/auth/login", "", &body)).text("access_token");
    let ticket = fixtures::issue(&server.engine, &server.store, "usr_boss", inputs(NOON, 900));
    let full = signed_in(&server, &ticket).text("access_token");
    let service = server.service_token("portal", PORTAL_SECRET, "orders:read");
    // The same claims under the other type, signed by the server's own key.
    let as_type = |token: &str, token_type: &str| {
        fixtures::signing_key().sign(token_type, segment(token, 1).to_string().as_bytes()).expect("a token")
    };
    assert_eq!(shown(&server, &as_type(&full, "at+jwt")), (200, true));
    for (what, token) in [
        ("a full session's", as_type(&full, "restricted+jwt")),
        ("a service's", as_type(&service, "restricted+jwt")),
        ("a restricted session's", as_type(&restricted, "at+jwt")),
    ] {
        assert_eq!(shown(&server, &token), (401, false), "{what}");
        for path in ["/auth/me/sessions", "/auth/me/password", "/mfa/totp/devices", "/auth/generate-ticket"] {
            let method = if path.ends_with("password") { "PUT" } else { "GET" };
            let method = if path.ends_with("ticket") { "POST" } else { method };
            let asked = Request { method: method.into(), ..bearer(path, &token) };
            assert_eq!(server.ask(asked).status, 401, "{what} at {path}");
        }
        assert!(server.engine.verify(&token, NOON).is_err() || what.starts_with("a restricted"), "{what}");
    }
    assert!(server.engine.verify(&restricted, NOON).is_err(), "to an embedder it is no access token");
}

#[test]
fn the_scope_of_a_service_is_what_its_client_may_have_now() {
    let server = watched();
    let token = server.service_token("backend", BACKEND_SECRET, SCOPE);
    server.edit_client("backend", |client| {
        client.scope = Scope::parse("ticket:issue profile").expect("a scope")
    });
    let asked = posts("/oauth2/introspect", "watch", PORTAL_SECRET, &format!("token={token}"));
    assert_eq!(server.ask(asked).body["scope"], "ticket:issue profile");
}
