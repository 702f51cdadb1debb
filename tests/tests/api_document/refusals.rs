//! Refusals that are of one operation, or of a few.

use gatepass_core::jose::key::SigningKey;
use gatepass_core::records::role::Role;
use gatepass_core::records::signing_key::{KeyState, StoredKey};
use gatepass_tests::fixtures::{self, NOON, request};
use gatepass_tests::in_memory_server::InMemoryServer;
use serde_json::{Value, json};

use crate::mistakes::{Fault, administrator, drive, server};

/// The role that asks, the method, the path and the body; and the code of the answer.
type Row = (Role, &'static str, &'static str, Value, u64);

fn rows() -> Vec<Row> {
    use Role::{Auditor, Officer, Operator};
    let none = Value::Null;
    let explains = |more: Value| {
        let mut body = json!({"user": "alice", "address": "192.0.2.7"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let lines = |lines: &str| Value::String(lines.into());
    let public = |kid: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": kid});
    vec![
        (Auditor, "POST", "audit:archive", json!({"before": "x"}), 40050),
        (Operator, "PATCH", "users/usr_ghost", json!({"name": "x"}), 40403),
        (
            Operator,
            "GET",
            "users/an-id-of-65-bytes-is-none----------------------------------------/sessions",
            none.clone(),
            40403,
        ),
        (Operator, "PUT", "users/usr_ghost/password", json!({"password": "a long passphrase"}), 40403),
        (Operator, "POST", "risk:explain", explains(json!({"device_id": "é"})), 40007),
        (Officer, "PUT", "roles/usr_ghost", json!({"roles": ["operator"]}), 40403),
        (Officer, "PATCH", "clients/ghost", json!({"name": "x"}), 40403),
        (Officer, "POST", "clients/ghost/secrets", json!({}), 40403),
        (Officer, "PUT", "clients/ghost/keys", json!({"keys": [public("1")]}), 40403),
        (Officer, "POST", "clients/ghost/keys", json!({"jwk": public("1")}), 40403),
        (Officer, "POST", "keys/ghost/activate", none.clone(), 40403),
        (Operator, "POST", "users", json!({"username": "alice"}), 40900),
        (Operator, "POST", "users", json!({"username": ""}), 40050),
        (Operator, "PATCH", "users/usr_alice", json!({"email": "nobody"}), 40050),
        (Operator, "PATCH", "users/usr_alice", json!({"email": "pam@example.com"}), 40900),
        (Operator, "PATCH", "users/usr_alice", json!({"name": "Al", "revision": 99}), 40901),
        (Operator, "DELETE", "users/usr_pam", none.clone(), 40901),
        (Operator, "PUT", "users/usr_alice/password", json!({"password": "short"}), 40050),
        (Operator, "PUT", "users/usr_pam/password", json!({"password": "a long passphrase"}), 40901),
        (Operator, "POST", "users/usr_alice/password/require-change", none.clone(), 40901),
        (Operator, "DELETE", "users/usr_pam/factors", none.clone(), 40901),
        (Operator, "POST", "users:import", lines("{\"username\": \"\"}"), 40050),
        (Operator, "POST", "risk:explain", explains(json!({"actor": "alice", "ticket": {"age": 1}})), 40050),
        (Operator, "POST", "risk:explain", explains(json!({"user": "nobody"})), 40403),
        (Officer, "PUT", "roles/alice", json!({"roles": ["operator", "officer"]}), 40050),
        (Officer, "PUT", "roles/pam", json!({"roles": []}), 40901),
        (Officer, "DELETE", "roles/pam", none.clone(), 40901),
        (Officer, "POST", "clients", json!({"client_id": "portal"}), 40900),
        (Officer, "POST", "clients", json!({"client_id": "a b"}), 40050),
        (Officer, "POST", "clients", json!({"client_id": "new", "roles": []}), 40901),
        (Officer, "PATCH", "clients/portal", json!({"token_lifetime": 0}), 40050),
        (Officer, "PATCH", "clients/portal", json!({"name": "P", "revision": 99}), 40901),
        (Officer, "PATCH", "clients/portal", json!({"roles": []}), 40901),
        (Officer, "POST", "clients/portal/secrets", json!({"client_secret": "short"}), 40050),
        (Officer, "POST", "clients/portal/secrets", json!({}), 0),
        (Officer, "POST", "clients/portal/secrets", json!({}), 0),
        (Officer, "POST", "clients/portal/secrets", json!({}), 0),
        (Officer, "POST", "clients/portal/secrets", json!({}), 0),
        (Officer, "POST", "clients/portal/secrets", json!({}), 0),
        (Officer, "POST", "clients/portal/secrets", json!({}), 0),
        (Officer, "POST", "clients/portal/secrets", json!({}), 0),
        (Officer, "POST", "clients/portal/secrets", json!({}), 40901),
        (Officer, "PUT", "clients/portal/keys", json!({"keys": [{}]}), 40050),
        (Officer, "POST", "clients/portal/keys", json!({"jwk": {}}), 40050),
        (
            Officer,
            "PUT",
            "clients/portal/keys",
            json!({"keys": [public("1"), public("2"), public("3"), public("4"), public("5"), public("6"), public("7")]}),
            0,
        ),
        (Officer, "POST", "clients/portal/keys", json!({"jwk": public("1")}), 40900),
        (Officer, "POST", "clients/portal/keys", json!({"jwk": public("8")}), 0),
        (Officer, "POST", "clients/portal/keys", json!({"jwk": public("9")}), 40901),
        (Officer, "DELETE", "keys/signs", none.clone(), 40901),
        (Officer, "POST", "keys/signs/stop", none.clone(), 40901),
        (Officer, "POST", "keys/waits/activate", none, 40901),
    ]
}

pub(crate) fn of_one_operation_each() {
    let server = server();
    for (kid, state) in [("signs", KeyState::Signing), ("waits", KeyState::Published)] {
        let jwk = json!({"kty": "oct", "k": "A".repeat(86), "alg": "HS256", "kid": kid});
        let key = SigningKey::from_jwk(jwk.to_string().as_bytes(), None).expect("a key");
        server.store.with(|tables| tables.keys.push(StoredKey::new(&key, state, NOON)));
    }
    let tokens = Role::ALL.map(|role| (role, administrator(&server, role)));
    let mut others = Vec::new();
    for (role, method, path, body, code) in rows() {
        let (_, token) = tokens.iter().find(|(known, _)| *known == role).expect("a token");
        let (status, answer) = administers(&server, token, method, path, &body);
        if (status >= 400, answer["code"].as_u64().unwrap_or(0)) != (code > 0, code) {
            others.push(format!("{method} {path} {body}: {answer}"));
        }
    }
    let (_, operator) = &tokens[0];
    // What has ended cannot be ended again.
    let ticket = fixtures::issue(&server.engine, &server.store, "alice", server.inputs(NOON));
    server.ask(fixtures::presents(&ticket));
    fixtures::issue(&server.engine, &server.store, "alice", server.inputs(NOON));
    let tables = server.tables();
    let sessions = tables.sessions.keys().map(|id| format!("users/usr_alice/sessions/{}", id.as_str()));
    let tickets = tables.tickets.values().map(|ticket| format!("tickets/{}", ticket.id.as_str()));
    for path in sessions.chain(tickets) {
        administers(&server, operator, "DELETE", &path, &Value::Null);
        administers(&server, operator, "DELETE", &path, &Value::Null);
    }
    assert!(others.is_empty(), "{others:#?}");
}

fn administers(server: &InMemoryServer, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut asked = request(&format!("/admin/v1/{path}"), token, body);
    asked.method = method.into();
    match body {
        Value::Null => {
            asked.body.clear();
            asked.headers.retain(|(name, _)| name != "content-type");
        }
        Value::String(lines) => {
            asked.body = lines.clone().into_bytes();
            asked.headers.retain(|(name, _)| name != "content-type");
            asked.headers.push(("content-type".into(), b"application/jsonl".to_vec()));
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {}
    }
    drive(server, asked, Fault::None)
}
