//! The ways by which one role of administration could become another, each tried over HTTP; and every row of administration against
//! every role.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepass_core::admin::{AdminError, Obstacle};
use gatepass_core::api::routes::{Authentication, ROUTES};
use gatepass_core::api::server_status::AuditArchive;
use gatepass_core::api::step::Step;
use gatepass_core::http::request::Request;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::user::Status;
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::{Task, TaskAnswer, TaskRequest};
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PAM_PASSWORD, PORTAL_SECRET, asks_for_token, client_id, posts, presents,
    request, user_id,
};
use gatepass_tests::in_memory_server::{Answer, InMemoryServer};
use gatepass_tests::memory::Tables;
use gatepass_tests::totp::{self, SECRET};
use serde_json::{Value, json};

const ADMIN: &str = "gatepass:admin";
const USERS: &str = "/admin/v1/users";
const PASSWORD: &str = "a password of the attacker";

/// Returns the roles that the resource of a row is for, as the contract has them.
fn contract(path: &str) -> Roles {
    let resource = path.strip_prefix("/admin/v1/").expect("a path of administration");
    let end = resource.find('/').unwrap_or(resource.len());
    match &resource[..end] {
        "users" | "users:import" | "tickets" => Roles::of(&[Role::Operator]),
        "risk:explain" => Roles::of(&[Role::Operator, Role::Auditor]),
        "clients" | "keys" | "roles" => Roles::of(&[Role::Officer]),
        "settings" => Roles::of(&[Role::Officer, Role::Auditor]),
        "audit" | "audit:verify" | "audit:archive" => Roles::of(&[Role::Auditor]),
        "status" => Roles::ALL,
        other => panic!("the contract has no resource {other}"),
    }
}

/// Pam, who has a password and a second factor, and boss are officers. The client `backend` has `role`.
fn server(role: Option<Role>) -> InMemoryServer {
    server_with(role, |_| {})
}

fn server_with(role: Option<Role>, alter: impl FnOnce(&mut Tables)) -> InMemoryServer {
    let mut tables = fixtures::tables();
    for name in ["pam", "boss"] {
        tables.users.get_mut(&user_id(name)).expect("a user").roles = Roles::of(&[Role::Officer]);
    }
    totp::enrol(&mut tables, &user_id("pam"));
    let backend = tables.clients.get_mut(&client_id("backend")).expect("a client");
    backend.roles = role.map_or(Roles::NONE, |role| Roles::of(&[role]));
    alter(&mut tables);
    InMemoryServer::new(fixtures::engine("http://gate.example"), tables)
}

fn client_token(server: &InMemoryServer) -> String {
    server.service_token("backend", BACKEND_SECRET, ADMIN)
}

fn login(scope: Option<&str>, password: &str) -> Request {
    let mut body = json!({"identity": "pam", "password": password});
    if let Some(scope) = scope {
        body["scope"] = scope.into();
    }
    request("/auth/login", "", &body)
}

/// Returns the answer to pam, who signs in with her second factor.
fn signed_in(server: &InMemoryServer, scope: Option<&str>) -> Answer {
    let asked = server.ask(login(scope, PAM_PASSWORD));
    let code = totp::code(SECRET, NOON.unix());
    let answer = json!({"challenge_token": asked.text("challenge_token"), "code": code});
    server.ask(request("/auth/mfa/verify-challenge", "", &answer))
}

fn sends(method: &str, path: &str, token: &str, body: &Value) -> Request {
    let authorization = if token.is_empty() { String::new() } else { format!("Bearer {token}") };
    Request { method: method.into(), ..request(path, &authorization, body) }
}

fn roles(server: &InMemoryServer, name: &str) -> Roles {
    server.tables().users.get(&user_id(name)).map_or(Roles::NONE, |user| user.roles)
}

/// A caller, and the roles that count.
type Caller = (&'static str, Roles, fn(&InMemoryServer) -> String);

#[test]
fn every_row_takes_the_roles_of_the_contract_and_no_other() {
    let rows: Vec<_> =
        ROUTES.iter().filter(|row| row.authentication == Authentication::Administrator).collect();
    assert!(rows.len() >= 19, "{} rows", rows.len());
    let mut tried = 0;
    for role in [None, Some(Role::Operator), Some(Role::Officer), Some(Role::Auditor)] {
        let held = role.map_or(Roles::NONE, |role| Roles::of(&[role]));
        let server = server_with(role, |tables| {
            tables.users.get_mut(&user_id("pam")).expect("a user").roles = held;
        });
        let mut callers: Vec<Caller> = vec![
            ("nobody", Roles::NONE, |_| String::new()),
            ("a client without the scope", Roles::NONE, |server| {
                server.service_token("backend", BACKEND_SECRET, "profile")
            }),
            ("a person without the scope", Roles::NONE, |server| {
                // The code of her device is good once.
                let ticket = fixtures::issue(&server.engine, &server.store, "lou", server.inputs(NOON));
                server.ask(presents(&ticket)).text("access_token")
            }),
        ];
        if role.is_some() {
            callers.push(("a client", held, client_token));
            callers.push(("a person", held, |server| signed_in(server, Some(ADMIN)).text("access_token")));
        }
        for (name, counts, token) in callers {
            let token = token(&server);
            for row in &rows {
                assert_eq!(row.roles, contract(row.path), "{}", row.path);
                let path = row.path.replace("{id}", "nobody").replace("{session}", "ses_none");
                let path = path.replace("{kid}", "none").replace("{secret}", "none").replace("{key}", "none");
                for method in row.methods {
                    let answer = server.ask(sends(method, &path, &token, &json!({})));
                    let code = answer.body["code"].as_u64().unwrap_or_default();
                    let told =
                        format!("{name} with {role:?}: {method} {path}: {} {}", answer.status, answer.body);
                    match (token.is_empty(), counts.is_empty()) {
                        (true, _) => assert_eq!((answer.status, code), (401, 40100), "{told}"),
                        (false, true) => assert_eq!((answer.status, code), (403, 40300), "{told}"),
                        (false, false) if !counts.intersects(row.roles) => {
                            assert_eq!((answer.status, code), (403, 40305), "{told}");
                        }
                        (false, false) => assert!(![401, 403].contains(&answer.status), "{told}"),
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

/// A way to another role: the attacker's role, what is tried with their token, and the status that it is answered.
type Way = (&'static str, Role, fn(&InMemoryServer, &str) -> Answer, u16);

fn set_password(server: &InMemoryServer, token: &str) -> Answer {
    let body = json!({"password": PASSWORD, "must_change": false});
    server.ask(sends("PUT", &format!("{USERS}/usr_pam/password"), token, &body))
}

fn gives(server: &InMemoryServer, token: &str, user: &str, roles: &Value) -> Answer {
    server.ask(sends("PUT", &format!("/admin/v1/roles/{user}"), token, &json!({ "roles": roles })))
}

fn patches(server: &InMemoryServer, token: &str, body: &Value) -> Answer {
    server.ask(sends("PATCH", &format!("{USERS}/usr_pam"), token, body))
}

/// Those that change how an officer signs in. They are done, and leave no officer.
const STRIPPED: &[Way] = &[
    ("a password is set", Role::Operator, set_password, 200),
    (
        "a new password is required",
        Role::Operator,
        |server, token| {
            server.ask(sends("POST", &format!("{USERS}/usr_pam/password/require-change"), token, &json!({})))
        },
        200,
    ),
    (
        "another e-mail address",
        Role::Operator,
        |server, token| patches(server, token, &json!({"email": "attacker@example.com"})),
        200,
    ),
    (
        "another user name, of a user who is disabled by the same request",
        Role::Operator,
        |server, token| patches(server, token, &json!({"username": "attacker", "status": "disabled"})),
        200,
    ),
    (
        "a rule about second factors",
        Role::Operator,
        |server, token| patches(server, token, &json!({"second_factor": "never"})),
        200,
    ),
    (
        "the officer is disabled and enabled",
        Role::Operator,
        |server, token| {
            let disabled = patches(server, token, &json!({"status": "disabled"}));
            assert!([200, 409].contains(&disabled.status), "{}", disabled.body);
            if disabled.status == 409 {
                return disabled;
            }
            assert_eq!(roles(server, "pam"), Roles::of(&[Role::Officer]), "a disabled officer stays one");
            patches(server, token, &json!({"status": "active"}))
        },
        200,
    ),
    (
        "the factors are reset",
        Role::Operator,
        |server, token| server.ask(sends("DELETE", &format!("{USERS}/usr_pam/factors"), token, &json!({}))),
        204,
    ),
    (
        "the officer is deleted, and another added under the name",
        Role::Operator,
        |server, token| {
            let deleted = server.ask(sends("DELETE", &format!("{USERS}/usr_pam"), token, &json!({})));
            assert_eq!(deleted.status, 204, "{}", deleted.body);
            let anew = json!({"username": "pam", "password": PASSWORD});
            let added = server.ask(sends("POST", USERS, token, &anew));
            let id = added.text("id");
            let held = server.store.with(|tables| {
                tables.users.values().find(|user| user.id.as_str() == id).map(|user| user.roles)
            });
            assert_eq!(held, Some(Roles::NONE));
            added
        },
        201,
    ),
];

#[test]
fn whoever_changes_how_an_officer_signs_in_finds_no_officer() {
    for (name, role, way, status) in STRIPPED {
        let server = server(Some(*role));
        let before = signed_in(&server, Some(ADMIN)).text("access_token");
        let answer = way(&server, &client_token(&server));
        assert_eq!(answer.status, *status, "{name}: {}", answer.body);
        assert_eq!(roles(&server, "pam"), Roles::NONE, "{name}");
        // What the officer held is over, and whoever knows the new password gets no administration by it.
        let listed = server.ask(sends("GET", "/admin/v1/roles", &before, &json!({})));
        assert_eq!(listed.status, 401, "{name}: {}", listed.body);
        for password in [PASSWORD, PAM_PASSWORD] {
            let refused = server.ask(login(Some(ADMIN), password));
            assert_eq!(refused.status, 400, "{name}: {}", refused.body);
        }
        // The row names the client that did it.
        let rows = server.tables().audit;
        let by = rows.iter().rev().find(|row| row.by_client.is_some()).expect("a row");
        assert_eq!(
            (by.by_client.clone(), by.request.is_some()),
            (Some(client_id("backend")), true),
            "{name}"
        );
    }
}

/// Those that are refused. Nothing is changed.
const REFUSED: &[Way] = &[
    (
        "an operator gives a role",
        Role::Operator,
        |s, token| gives(s, token, "usr_alice", &json!(["officer"])),
        403,
    ),
    ("an operator takes a role", Role::Operator, |s, token| gives(s, token, "usr_pam", &json!([])), 403),
    (
        "an auditor gives a role",
        Role::Auditor,
        |s, token| gives(s, token, "usr_alice", &json!(["officer"])),
        403,
    ),
    ("an auditor sets a password", Role::Auditor, set_password, 403),
    ("an officer sets a password", Role::Officer, set_password, 403),
    (
        "an officer gives two roles",
        Role::Officer,
        |s, token| gives(s, token, "usr_alice", &json!(["officer", "operator"])),
        400,
    ),
    (
        "an officer gives an unknown role",
        Role::Officer,
        |s, token| gives(s, token, "usr_alice", &json!(["root"])),
        400,
    ),
    (
        "an officer gives a client a role",
        Role::Officer,
        |s, token| gives(s, token, "portal", &json!(["operator"])),
        404,
    ),
    (
        "an officer gives itself a role",
        Role::Officer,
        |s, token| gives(s, token, "backend", &json!(["operator"])),
        404,
    ),
    (
        "a person gives themselves a role",
        Role::Officer,
        |server, _| {
            let own = signed_in(server, Some(ADMIN)).text("access_token");
            gives(server, &own, "usr_pam", &json!(["auditor"]))
        },
        409,
    ),
    (
        "a person gives themselves a role by another identifier",
        Role::Officer,
        |server, _| {
            let own = signed_in(server, Some(ADMIN)).text("access_token");
            gives(server, &own, "pam@example.com", &json!(["auditor"]))
        },
        409,
    ),
    (
        "a client without a role asks for administration",
        Role::Operator,
        |server, _| server.ask(asks_for_token("portal", PORTAL_SECRET, ADMIN)),
        400,
    ),
    (
        "a ticket names administration",
        Role::Officer,
        |server, _| {
            let token = server.service_token("backend", BACKEND_SECRET, "ticket:issue gatepass:admin");
            server.ask(sends(
                "POST",
                "/auth/generate-ticket",
                &token,
                &json!({"user_id": "usr_pam", "scope": ADMIN}),
            ))
        },
        400,
    ),
    (
        "the session of a ticket for an officer",
        Role::Operator,
        |server, _| {
            let ticket = fixtures::issue(&server.engine, &server.store, "boss", server.inputs(NOON));
            let token = server.ask(presents(&ticket)).text("access_token");
            gives(server, &token, "usr_alice", &json!(["officer"]))
        },
        403,
    ),
    (
        "a session in which somebody acts as an officer",
        Role::Operator,
        |server, _| {
            let token = server.service_token("backend", BACKEND_SECRET, "ticket:impersonate");
            let asked = json!({"user_id": "usr_boss", "actor": "usr_alice", "reason": "a call"});
            let issued = server.ask(sends("POST", "/auth/generate-ticket", &token, &asked));
            let token = server.ask(presents(&issued.text("ticket"))).text("access_token");
            gives(server, &token, "usr_alice", &json!(["officer"]))
        },
        403,
    ),
    (
        "a sign-in without the scope",
        Role::Operator,
        |server, _| {
            let ticket = fixtures::issue(&server.engine, &server.store, "lou", server.inputs(NOON));
            let token = server.ask(presents(&ticket)).text("access_token");
            gives(server, &token, "usr_lou", &json!(["officer"]))
        },
        403,
    ),
    (
        "a client signs an officer in to administer",
        Role::Operator,
        |server, _| {
            let basic = format!("Basic {}", STANDARD.encode(format!("backend:{BACKEND_SECRET}")));
            let body = json!({"identity": "pam", "password": PAM_PASSWORD, "scope": ADMIN});
            server.ask(request("/auth/login", &basic, &body))
        },
        400,
    ),
    (
        "a refresh asks for more than the session has",
        Role::Operator,
        |server, _| {
            let mut ticket = gatepass_core::policy::ticket_request::TicketRequest::new(
                gatepass_core::records::id::UserRef::from(&user_id("boss")),
            );
            ticket.audience = Some(client_id("portal"));
            let ticket = server.issue(ticket).expect("a ticket");
            let refresh = server.ask(presents(&ticket)).text("refresh_token");
            let form = format!("grant_type=refresh_token&refresh_token={refresh}&scope=gatepass:admin");
            server.ask(posts("/oauth2/token", "portal", PORTAL_SECRET, &form))
        },
        400,
    ),
];

#[test]
fn every_other_way_is_refused_and_changes_nobody() {
    for (name, role, way, status) in REFUSED {
        let server = server(Some(*role));
        let token = client_token(&server);
        let held = |server: &InMemoryServer| {
            let tables = server.tables();
            let users: Vec<_> = tables.users.values().map(|user| (user.id.clone(), user.roles)).collect();
            let clients: Vec<_> = tables.clients.values().map(|c| (c.id.clone(), c.roles)).collect();
            (users, clients, tables.passwords.clone())
        };
        let before = held(&server);
        let answer = way(&server, &token);
        assert_eq!(answer.status, *status, "{name}: {}", answer.body);
        let after = held(&server);
        assert!(before.0 == after.0 && before.1 == after.1, "{name}");
        let hash = |passwords: &std::collections::BTreeMap<_, gatepass_core::records::password::Password>| {
            passwords.get(&user_id("pam")).map(|password| password.hash.clone())
        };
        assert!(hash(&before.2) == hash(&after.2), "{name}");
    }
}

#[test]
fn the_last_officer_stays_one_whoever_tries() {
    for (name, role, way, _) in STRIPPED.iter().filter(|(name, ..)| !name.contains("deleted")) {
        let server = server_with(Some(*role), |tables| {
            tables.users.get_mut(&user_id("boss")).expect("a user").status = Status::Disabled;
        });
        let answer = way(&server, &client_token(&server));
        assert_eq!((answer.status, &answer.body["code"]), (409, &json!(40901)), "{name}: {}", answer.body);
        assert_eq!(roles(&server, "pam"), Roles::of(&[Role::Officer]), "{name}");
    }
    let server = server_with(Some(Role::Officer), |tables| {
        tables.users.get_mut(&user_id("boss")).expect("a user").roles = Roles::NONE;
    });
    let token = client_token(&server);
    for request in [
        sends("PUT", "/admin/v1/roles/usr_pam", &token, &json!({"roles": ["auditor"]})),
        sends("DELETE", "/admin/v1/roles/usr_pam", &token, &json!({})),
    ] {
        let answer = server.ask(request);
        assert_eq!((answer.status, &answer.body["code"]), (409, &json!(40901)), "{}", answer.body);
    }
    assert_eq!(roles(&server, "pam"), Roles::of(&[Role::Officer]));
    // Beside another officer the role is taken, and given again.
    assert_eq!(gives(&server, &token, "usr_boss", &json!(["officer"])).status, 200);
    assert_eq!(server.ask(sends("DELETE", "/admin/v1/roles/usr_pam", &token, &json!({}))).status, 204);
    assert_eq!(roles(&server, "pam"), Roles::NONE);
    let given = gives(&server, &token, "pam", &json!(["auditor"]));
    assert_eq!((given.status, &given.body["roles"]), (200, &json!(["auditor"])), "{}", given.body);
    let listed = server.ask(sends("GET", "/admin/v1/roles", &token, &json!({})));
    let holders: Vec<_> =
        listed.body["items"].as_array().expect("items").iter().map(|holder| holder["id"].clone()).collect();
    assert_eq!(holders, [json!("usr_boss"), json!("usr_pam"), json!("backend")]);
}

#[test]
fn a_token_for_enrolling_alone_administers_nothing() {
    let server = server_with(Some(Role::Operator), |tables| tables.devices.clear());
    let enrols = server.ask(login(Some(ADMIN), PAM_PASSWORD));
    assert_eq!((enrols.status, &enrols.body["must_enrol"]), (200, &json!(true)), "{}", enrols.body);
    let answer = gives(&server, &enrols.text("access_token"), "usr_alice", &json!(["officer"]));
    assert_eq!((answer.status, &answer.body["code"]), (403, &json!(40303)), "{}", answer.body);
}

/// Begins to archive audit rows, up to the task.
fn asks_for_archive(server: &InMemoryServer, token: &str) -> Task {
    let body = json!({"before": "2026-01-31T12:00:00Z"});
    let request = sends("POST", "/admin/v1/audit:archive", token, &body);
    let mut step = server.engine.handle(request, server.inputs(NOON));
    loop {
        step = match step {
            Step::Read(read) => {
                let found = server.store.read(read.query());
                read.resume(&server.engine, found)
            }
            Step::Task(task) => return task,
            other @ (Step::Guess(_) | Step::Commit(_) | Step::HashPassword(_) | Step::Reply(_)) => {
                panic!("{other:?}")
            }
        }
    }
}

#[test]
fn an_archive_is_recorded_for_whoever_asked_and_while_they_may_ask() {
    let auditor = Roles::of(&[Role::Auditor]);
    let server = server_with(Some(Role::Auditor), |tables| {
        tables.users.get_mut(&user_id("pam")).expect("a user").roles = auditor;
    });
    let person = signed_in(&server, Some(ADMIN)).text("access_token");
    for (token, by_user, by_client) in
        [(person, Some(user_id("pam")), None), (client_token(&server), None, Some(client_id("backend")))]
    {
        let task = asks_for_archive(&server, &token);
        let TaskRequest::ArchiveAudit(archive) = task.request() else { panic!("{task:?}") };
        assert_eq!(archive.before.map(|at| at.rfc3339()).as_deref(), Some("2026-01-31T12:00:00Z"));
        let Event { request, address, .. } = archive.event.clone();
        assert!(request.is_some() && address.is_some(), "{archive:?}");
        let by = Event { request, address, by_user, by_client, ..Event::new(Kind::AuditArchived, NOON) };
        assert_eq!(archive.event, by);
        let conditions = || archive.conditions.clone().into();
        assert_eq!(server.store.commit(&conditions()), Outcome::Applied);
        let ended = match &by.by_user {
            Some(id) => Change::RaiseEpoch { id: id.clone(), epoch: server.user("pam").epoch },
            None => {
                let mut client = server.client("backend");
                client.set_roles(Roles::NONE);
                Change::UpdateClient(client)
            }
        };
        server.commit(vec![ended]);
        assert_eq!(server.store.commit(&conditions()), Outcome::Conflict, "{by:?}");
    }
}

#[test]
fn an_archive_that_failed_is_answered_with_what_is_known() {
    let server = server(Some(Role::Auditor));
    let archive = AuditArchive {
        file: "audit-3-7.jsonl".into(),
        first: 3,
        last: 7,
        rows: 5,
        head: "00".into(),
        bytes: 70,
        sha256: "11".into(),
    };
    for (answer, status) in [
        (TaskAnswer::AuditArchived(archive), 200),
        (TaskAnswer::Failed(AdminError::Refused(Obstacle::NothingToArchive)), 409),
        (TaskAnswer::Failed(AdminError::Refused(Obstacle::ArchivedMeanwhile)), 409),
        (TaskAnswer::Failed(AdminError::Refused(Obstacle::AuditBroken)), 409),
        (TaskAnswer::Failed(AdminError::NotApplied), 503),
        (TaskAnswer::Failed(AdminError::Unknown), 500),
        (TaskAnswer::Metrics(String::new()), 500),
    ] {
        let told = format!("{answer:?}");
        let task = asks_for_archive(&server, &client_token(&server));
        let Step::Reply(reply) = task.resume(&server.engine, answer) else { panic!("{told}") };
        assert_eq!(reply.status(), status, "{told}");
        let body: Value = serde_json::from_slice(reply.body()).expect("JSON");
        assert_eq!(body["rows"].as_u64(), (status == 200).then_some(5), "{body}");
    }
}
