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
use gatepass_tests::in_memory_server::{Answer, InMemoryServer};
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

/// Changes a user, and returns the answer with the kinds of the rows that were written.
fn patched(server: &InMemoryServer, token: &str, user: &str, body: &Value) -> (Answer, Vec<Kind>) {
    let path = format!("{USERS}/{user}");
    let before = server.tables().audit.len();
    let answer =
        server.ask(Request { method: "PATCH".into(), ..request(&path, &format!("Bearer {token}"), body) });
    let kinds = server.tables().audit[before..].iter().map(|row| row.kind).collect();
    (answer, kinds)
}

#[test]
fn a_user_is_changed_as_far_as_the_body_says() {
    let (server, token) = server(&[Role::Operator]);
    let all = json!({
        "username": "alicia", "email": "alicia@example.com", "phone": "+44 20 7946 0123", "name": "Alicia",
        "gender": "female", "address": {"locality": "Oxford"}, "second_factor": "always",
    });
    let shown = server.ask(get(&token, &format!("{USERS}/usr_alice"))).body;
    let (changed, kinds) = patched(&server, &token, "usr_alice", &all);
    assert_eq!((changed.status, kinds), (200, vec![Kind::UserChanged]), "{}", changed.body);
    let changed = changed.body;
    for (member, value) in all.as_object().expect("members") {
        assert_eq!(&changed[member], value, "{member}");
    }
    let revision = shown["revision"].as_u64().expect("a revision") + 1;
    assert_eq!(changed["revision"], revision);
    assert_eq!(server.ask(get(&token, &format!("{USERS}/usr_alice"))).body, changed);
    for (sent, status, code, field) in [
        (json!({"name": "Late", "revision": revision - 1}), 409, 40901, "revision"),
        (json!({"username": "boss"}), 409, 40900, "username"),
        (json!({"email": "PAM@example.com"}), 409, 40900, "email"),
        (json!({"email": "nobody"}), 400, 40050, "email"),
        (json!({"username": null, "status": "asleep"}), 400, 40050, "status"),
        (json!({"second_factor": "often"}), 400, 40050, "second_factor"),
        (json!({"revision": "1"}), 400, 40001, "revision"),
    ] {
        let (refused, kinds) = patched(&server, &token, "usr_alice", &sent);
        let told = refused.body;
        assert_eq!(
            (refused.status, told["code"].as_i64(), told["field"].as_str()),
            (status, Some(code), Some(field)),
            "{sent}: {told}"
        );
        assert!(kinds.is_empty(), "{sent}");
    }
    assert_eq!(patched(&server, &token, "usr_nobody", &json!({"name": "x"})).0.status, 404);
    let cleared = json!({
        "email": null, "phone": null, "name": null, "gender": null, "address": null, "second_factor": null,
        "revision": revision,
    });
    let after = patched(&server, &token, "usr_alice", &cleared).0.body;
    for member in ["email", "phone", "name", "gender", "address", "second_factor"] {
        assert_eq!(after[member], Value::Null, "{member}");
    }
    assert_eq!((&after["username"], &after["revision"]), (&json!("alicia"), &json!(revision + 1)));
    let (same, kinds) = patched(&server, &token, "usr_alice", &json!({"name": null, "status": "active"}));
    assert_eq!((same.status, same.body, kinds), (200, after, vec![]), "nothing changes");
}

#[test]
fn a_user_is_disabled_and_enabled_beside_other_changes_and_no_role_is_set() {
    let (server, token) = server(&[Role::Operator]);
    for (sent, kinds, status) in [
        (
            json!({"status": "disabled", "name": "Gone"}),
            &[Kind::UserChanged, Kind::UserDisabled][..],
            "disabled",
        ),
        (json!({"status": "disabled"}), &[], "disabled"),
        (json!({"status": "active"}), &[Kind::UserEnabled], "active"),
        (json!({"roles": ["officer"]}), &[], "active"),
    ] {
        let (answer, written) = patched(&server, &token, "usr_alice", &sent);
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!(status)), "{sent}");
        assert_eq!(written, kinds, "{sent}");
    }
    assert!(server.tables().users.values().all(|user| user.roles.is_empty()));
}

#[test]
fn many_users_are_imported_in_one_request_or_none_is() {
    let (server, token) = server(&[Role::Operator]);
    let send = |query: &str, media_type: &str, lines: &str| {
        let mut request = get(&token, &format!("/admin/v1/users:import{query}"));
        request.method = "POST".into();
        request.headers.push(("content-type".into(), media_type.into()));
        request.body = lines.into();
        server.ask(request)
    };
    let jsonl = "application/jsonl";
    let two = "{\"username\": \"one\"}\n\n{\"username\": \"two\", \"email\": \"two@example.com\"}\n";
    let before = server.tables().users.len();
    for (query, media_type, lines, status) in [
        ("", "application/json", two, 415),
        ("?dry_run=maybe", jsonl, two, 400),
        ("", jsonl, "{\"username\": \"one\"}\n{\"username\": 7}", 400),
        ("", jsonl, "{\"username\": \"one\"}\n{\"username\": \"one\"}", 400),
        ("", jsonl, "{\"username\": \"one\", \"password\": \"a long passphrase\"}", 400),
        ("?dry_run=true", jsonl, two, 200),
    ] {
        let answer = send(query, media_type, lines);
        assert_eq!(answer.status, status, "{lines}: {}", answer.body);
        assert_eq!(server.tables().users.len(), before, "{lines}");
    }
    let imported = send("", "application/x-ndjson", two);
    assert_eq!((imported.status, &imported.body["added"]), (200, &json!(2)), "{}", imported.body);
    assert_eq!(server.tables().users.len(), before + 2);
    assert_eq!(send("", jsonl, two).body["unchanged"], json!(2));
}
