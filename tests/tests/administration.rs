//! Administration over HTTP, as far as every route shares it: who may ask, in which order a request is judged, what is written
//! down, and what happens when the caller is no longer who they were.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::api::step::Step;
use gatepass_core::http::request::Request;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::Outcome;
use gatepass_tests::fixtures::{BACKEND_SECRET, NOON, body, client_id, request};
use gatepass_tests::in_memory_server::InMemoryServer;
use serde_json::{Value, json};

const USERS: &str = "/admin/v1/users";

/// Makes a server whose client `backend` has `roles`, and a token of it to administer with.
fn server(roles: &[Role]) -> (InMemoryServer, String) {
    let server = InMemoryServer::default();
    server.edit_client("backend", |client| client.set_roles(Roles::of(roles)));
    let token = server.service_token("backend", BACKEND_SECRET, "gatepass:admin");
    (server, token)
}

fn get(token: &str, target: &str) -> Request {
    let headers = vec![("authorization".into(), format!("Bearer {token}").into_bytes())];
    Request {
        method: "GET".into(),
        target: target.into(),
        headers,
        body: vec![],
        peer: [192, 0, 2, 7].into(),
    }
}

fn post(token: &str, body: &Value) -> Request {
    request(USERS, &format!("Bearer {token}"), body)
}

#[test]
fn a_caller_needs_a_good_token_then_the_scope_then_a_role_and_then_the_request_is_looked_at() {
    let (server, token) = server(&[Role::Operator]);
    let without_scope = server.service_token("backend", BACKEND_SECRET, "ticket:issue");
    let broken = json!({"username": 7});
    for (token, sent, status, code) in [
        ("x", &broken, 401, 40100),
        (&*without_scope, &broken, 403, 40300),
        (&token, &broken, 400, 40001),
        (&token, &json!({"username": "alice"}), 409, 40900),
        (&token, &json!({"username": "new"}), 201, 0),
    ] {
        let answer = server.ask(post(token, sent));
        assert_eq!(
            (answer.status, answer.body["code"].as_i64().unwrap_or(0)),
            (status, code),
            "{}",
            answer.body
        );
    }
    server.edit_client("backend", |client| client.set_roles(Roles::of(&[Role::Auditor])));
    assert_eq!(server.ask(get(&token, USERS)).status, 401, "a token from before the role changed");
    let token = server.service_token("backend", BACKEND_SECRET, "gatepass:admin");
    let refused = server.ask(get(&token, USERS));
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!(40305)));
    assert_eq!(
        refused.text("message"),
        "the token's holder has not the role for this: it takes the role operator"
    );
}

#[test]
fn a_change_says_who_made_it_by_which_request_and_from_where() {
    let (server, token) = server(&[Role::Operator]);
    let (_, rows) =
        server.recorded(post(&token, &json!({"username": "new", "password": "a long passphrase"})));
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(
        (row.kind, row.by_client.clone(), row.by_user.clone()),
        (Kind::UserAdded, Some(client_id("backend")), None)
    );
    assert!(row.request.is_some() && row.address.is_some() && row.subject.is_some());
    // Nothing is written for a question, nor for a refusal.
    for quiet in [get(&token, USERS), post(&token, &json!({"username": ""}))] {
        assert!(server.recorded(quiet).1.is_empty());
    }
}

#[test]
fn a_caller_who_lost_the_role_in_the_meantime_changes_nothing() {
    let (server, token) = server(&[Role::Operator]);
    let inputs = server.inputs(NOON);
    let Step::Read(read) = server.engine.handle(post(&token, &json!({"username": "late"})), inputs) else {
        panic!("it reads")
    };
    let found = server.store.read(read.query());
    let Step::Commit(commit) = read.resume(&server.engine, found) else { panic!("it commits") };
    server.edit_client("backend", |client| client.set_roles(Roles::NONE));
    let outcome = server.store.commit(commit.changes());
    assert_eq!(outcome, Outcome::Conflict);
    let Step::Read(again) = commit.settle(&server.engine, outcome) else { panic!("it reads again") };
    let found = server.store.read(again.query());
    let Step::Reply(reply) = again.resume(&server.engine, found) else { panic!("it is refused") };
    assert_eq!((reply.status(), body(&reply)["code"].as_i64()), (401, Some(40100)));
    assert!(server.tables().users.values().all(|user| user.username.as_str() != "late"));
}

#[test]
fn a_list_is_read_page_by_page_and_a_wrong_parameter_is_named() {
    let (server, token) = server(&[Role::Operator]);
    let all = server.tables().users.len();
    let mut target = format!("{USERS}?limit=1");
    let mut seen = Vec::new();
    loop {
        let page = server.ask(get(&token, &target));
        assert_eq!(page.status, 200, "{}", page.body);
        seen.extend(page.body["items"].as_array().expect("items").iter().map(|user| user["id"].to_string()));
        let Some(next) = page.body["next"].as_str() else { break };
        target = format!("{USERS}?limit=1&after={next}");
    }
    let listed = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), listed), (all, all));
    for (query, field) in
        [("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("limit=1&limit=2", "limit")]
    {
        let refused = server.ask(get(&token, &format!("{USERS}?{query}")));
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!(40004)), "{query}");
        assert!(refused.text("message").contains(field), "{}", refused.body);
    }
    for (path, status) in [("usr_nobody", 404), ("a%2Fb", 404), ("%zz", 404), ("a/b", 404)] {
        assert_eq!(server.ask(get(&token, &format!("{USERS}/{path}"))).status, status, "{path}");
    }
}
