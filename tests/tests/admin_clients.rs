//! Clients, their secrets and their keys, administered over HTTP by an officer.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::api::reply::Reply;
use gatepass_core::http::request::Request;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::signing_key::{KeyState, StoredKey};
use gatepass_core::store::audit::Kind;
use gatepass_tests::assertions::key_set;
use gatepass_tests::fixtures::{NOON, asks_for_token, client_id, request, signing_key};
use gatepass_tests::in_memory_server::InMemoryServer;
use serde_json::{Value, json};

/// A server with a client `boss` that has `roles`.
fn server(roles: &[Role]) -> InMemoryServer {
    let server = InMemoryServer::default();
    server.add_client("boss", "portal");
    server.edit_client("boss", |client| client.roles = Roles::of(roles));
    server
}

/// A token of administration of `boss`.
fn bearer() -> String {
    let now = NOON.unix();
    let claims = json!({
        "iss": "http://gate.example", "sub": "boss", "client_id": "boss", "aud": "http://gate.example", "jti": "j",
        "iat": now, "exp": now + 900, "scope": "gatepass:admin", "client_epoch": 12,
    });
    let token = signing_key().sign("at+jwt", claims.to_string().as_bytes()).expect("a token");
    format!("Bearer {token}")
}

fn ask(server: &InMemoryServer, method: &str, path: &str, body: &Value) -> Reply {
    let path = format!("/admin/v1/clients{path}");
    let mut request = Request { method: method.into(), ..request(&path, &bearer(), body) };
    if body.is_null() {
        request.headers.retain(|(name, _)| name != "content-type");
        request.body.clear();
    }
    server.send(request)
}

/// Sends a request that must be answered with `status`, and returns the body.
fn done(server: &InMemoryServer, method: &str, path: &str, body: &Value, status: u16) -> Value {
    let reply = ask(server, method, path, body);
    let text = String::from_utf8_lossy(reply.body()).into_owned();
    assert_eq!(reply.status(), status, "{method} {path} {body}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

fn kinds(server: &InMemoryServer) -> Vec<Kind> {
    let audit = server.tables().audit;
    for row in &audit {
        assert_eq!((row.by_client.clone(), row.by_user.clone()), (Some(client_id("boss")), None), "{row:?}");
        assert!(row.request.is_some() && row.address.is_some() && row.client.is_some(), "{row:?}");
    }
    audit.iter().map(|row| row.kind).collect()
}

const NOTHING: Value = Value::Null;

#[test]
fn a_client_lives_from_post_to_delete() {
    let server = server(&[Role::Officer]);
    let body = json!({"client_id": "new", "scope": "a b", "default_scope": "a", "audiences": ["x", "y"], "token_lifetime": 60});
    let reply = ask(&server, "POST", "", &body);
    assert_eq!((reply.status(), reply.header("location")), (201, Some("/admin/v1/clients/new")));
    let added: Value = serde_json::from_slice(reply.body()).expect("JSON");
    let secret = added["client_secret"].as_str().expect("a secret").to_owned();
    assert_eq!(server.send(asks_for_token("new", &secret, "b")).status(), 200);
    let shown = done(&server, "GET", "/new", &NOTHING, 200);
    assert!(!shown.to_string().contains(&secret) && shown.get("client_secret").is_none(), "{shown}");
    assert_eq!(
        (&shown["scope"], &shown["audiences"], &shown["enabled"]),
        (&json!("a b"), &json!(["x", "y"]), &json!(true))
    );
    assert_eq!(shown["secrets"].as_array().map(Vec::len), Some(1));

    let revision = shown["revision"].as_u64().expect("a revision");
    let patch = json!({"name": "New", "token_lifetime": null, "audiences": null, "revision": revision});
    let patched = done(&server, "PATCH", "/new", &patch, 200);
    assert_eq!(
        (&patched["name"], &patched["token_lifetime"], &patched["audiences"]),
        (&json!("New"), &NOTHING, &json!([]))
    );
    assert_eq!(
        (&patched["scope"], &patched["revision"]),
        (&json!("a b"), &json!(revision + 1)),
        "the rest stays"
    );
    assert_eq!(done(&server, "GET", "/new", &NOTHING, 200), patched);
    let refused = done(&server, "PATCH", "/new", &patch, 409);
    assert_eq!((&refused["field"], &refused["code"]), (&json!("revision"), &json!(40901)));
    assert_eq!(done(&server, "PATCH", "/new", &json!({}), 200), patched, "nothing changes");

    let off = done(&server, "PATCH", "/new", &json!({"enabled": false, "name": null}), 200);
    assert_eq!((&off["enabled"], &off["name"]), (&json!(false), &NOTHING));
    assert_eq!(server.send(asks_for_token("new", &secret, "b")).status(), 401);
    done(&server, "PATCH", "/new", &json!({"enabled": true}), 200);
    assert_eq!(server.send(asks_for_token("new", &secret, "b")).status(), 200);
    done(&server, "DELETE", "/new", &NOTHING, 204);
    done(&server, "GET", "/new", &NOTHING, 404);
    use Kind::{ClientAdded, ClientChanged, ClientDeleted, ClientDisabled, ClientEnabled};
    assert_eq!(
        kinds(&server),
        [ClientAdded, ClientChanged, ClientChanged, ClientDisabled, ClientEnabled, ClientDeleted]
    );
}

#[test]
fn a_list_has_pages_and_filters() {
    let server = server(&[Role::Officer]);
    let ids = |query: &str| {
        let (mut after, mut ids, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let page = done(&server, "GET", &format!("?{query}{after}"), &NOTHING, 200);
            let items = page["items"].as_array().expect("items").iter();
            ids.extend(items.map(|item| item["client_id"].as_str().expect("an id").to_owned()));
            pages += 1;
            let Some(next) = page["next"].as_str() else { return (ids, pages) };
            after = format!("&after={next}");
        }
    };
    let all = ["backend", "boss", "closed", "portal"].map(String::from).to_vec();
    assert_eq!(ids("limit=200"), (all.clone(), 1));
    assert_eq!(ids("limit=1").0, all);
    assert_eq!(ids("enabled=false").0, ["closed"]);
    assert_eq!(ids("limit=1&search=OFFICE").0, ["backend"], "by its name, in any case");
    assert_eq!(ids("search=o&enabled=true").0, ["backend", "boss", "portal"]);
    for (query, field) in
        [("limit=0", "limit"), ("limit=201", "limit"), ("enabled=yes", "enabled"), ("serch=a", "serch")]
    {
        let refused = done(&server, "GET", &format!("?{query}"), &NOTHING, 400);
        assert!(refused["message"].as_str().expect("a message").contains(field), "{refused}");
    }
}

#[test]
fn secrets_are_added_and_ended_one_by_one() {
    let server = server(&[Role::Officer]);
    let token = |secret: &str| server.send(asks_for_token("portal", secret, "orders:read")).status();
    let reply = ask(&server, "POST", "/portal/secrets", &NOTHING);
    let one: Value = serde_json::from_slice(reply.body()).expect("JSON");
    let (id, secret) = (one["id"].as_str().expect("an id"), one["client_secret"].as_str().expect("a secret"));
    let location = format!("/admin/v1/clients/portal/secrets/{id}");
    assert_eq!((reply.status(), reply.header("location")), (201, Some(location.as_str())));
    assert_eq!((&one["expires_at"], token(secret)), (&NOTHING, 200));
    let two = done(&server, "POST", "/portal/secrets", &json!({"overlap": 60, "lifetime": 3600}), 201);
    assert_eq!(two["expires_at"], NOON.plus(3600).rfc3339());
    let listed = done(&server, "GET", "/portal/secrets", &NOTHING, 200);
    let ends: Vec<&Value> =
        listed["items"].as_array().expect("items").iter().map(|item| &item["expires_at"]).collect();
    let minute = NOON.plus(60).rfc3339();
    assert_eq!(ends, [&json!(minute), &json!(minute), &two["expires_at"]]);
    assert!(listed["next"].is_null() && !listed.to_string().contains("gps_"), "{listed}");

    let path = format!("/portal/secrets/{id}");
    done(&server, "DELETE", &format!("{path}?overlap=30"), &NOTHING, 204);
    assert_eq!(token(secret), 200);
    done(&server, "DELETE", &path, &NOTHING, 204);
    assert_eq!(token(secret), 401);
    done(&server, "DELETE", &path, &NOTHING, 404);
    let own = json!({"client_secret": "0123456789abcdef0123456789abcdef"});
    assert_eq!(done(&server, "POST", "/portal/secrets", &own, 201)["client_secret"], NOTHING, "it is known");
    for _ in 0..5 {
        done(&server, "POST", "/portal/secrets", &json!({}), 201);
    }
    assert_eq!(done(&server, "POST", "/portal/secrets", &json!({}), 409)["code"], 40901);
    assert_eq!(
        done(&server, "POST", "/portal/secrets", &json!({"client_secret": "short"}), 400)["field"],
        "secret"
    );
    done(&server, "POST", "/nobody/secrets", &json!({}), 404);
    let ended = kinds(&server).iter().filter(|kind| **kind == Kind::SecretsEnded).count();
    assert_eq!(ended, 2);
}

#[test]
fn whoever_changes_how_a_holder_authenticates_takes_its_roles_away() {
    let set: Value = serde_json::from_str(&key_set()).expect("JSON");
    for (method, path, body, strips) in [
        ("POST", "/portal/secrets", json!({}), true),
        ("DELETE", "/portal/secrets/sec_1", NOTHING, false),
        ("PUT", "/portal/keys", set.clone(), true),
        ("POST", "/portal/keys", json!({"jwk": set["keys"][0]}), true),
        ("PATCH", "/portal", json!({"name": "New"}), false),
        ("PATCH", "/portal", json!({"enabled": false}), false),
    ] {
        let server = server(&[Role::Officer]);
        server.edit_client("portal", |client| client.set_roles(Roles::of(&[Role::Auditor])));
        assert!([200, 201, 204].contains(&ask(&server, method, path, &body).status()), "{method} {path}");
        let client = server.client("portal");
        assert_eq!(client.roles.is_empty(), strips, "{method} {path}");
        assert_eq!(kinds(&server).contains(&Kind::ClientRolesChanged), strips, "{method} {path}");
    }
}

#[test]
fn keys_are_put_added_and_removed() {
    let server = server(&[Role::Officer]);
    let set: Value = serde_json::from_str(&key_set()).expect("JSON");
    let own = &set["keys"][0];
    let put = done(&server, "PUT", "/portal/keys", &set, 200);
    assert_eq!(
        (&put["items"][0]["jwk"], &put["items"][0]["kid"], &put["next"]),
        (own, &own["kid"], &NOTHING)
    );
    assert_eq!(done(&server, "GET", "/portal/keys", &NOTHING, 200), put);
    assert_eq!(done(&server, "POST", "/portal/keys", &json!({"jwk": own}), 409)["code"], 40900);
    let mut other = own.clone();
    other["kid"] = json!("a/b 钥");
    let reply = ask(&server, "POST", "/portal/keys", &json!({"jwk": other}));
    let location = reply.header("location").expect("a location").to_owned();
    assert_eq!((reply.status(), location.as_str()), (201, "/admin/v1/clients/portal/keys/a%2Fb%20%E9%92%A5"));
    let path = location.trim_start_matches("/admin/v1/clients");
    done(&server, "DELETE", path, &NOTHING, 204);
    done(&server, "DELETE", path, &NOTHING, 404);
    let mut private = own.clone();
    private["d"] = json!("CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk");
    for (method, body) in [("PUT", json!({"keys": [own, private]})), ("POST", json!({"jwk": private}))] {
        let refused = done(&server, method, "/portal/keys", &body, 400);
        let told = refused["message"].as_str().expect("a message");
        assert!(
            refused["field"] == "keys" && told.contains("private key") && !told.contains("CQkJ"),
            "{refused}"
        );
    }
    assert_eq!(done(&server, "GET", "/portal/keys", &NOTHING, 200), put, "nothing has changed");
    done(&server, "PUT", "/portal/keys", &json!({"keys": []}), 200);
    assert!(server.client("portal").keys.is_empty());
}

#[test]
fn what_breaks_a_rule_is_refused_and_named() {
    let server = server(&[Role::Officer]);
    for (method, path, body, status, field) in [
        ("POST", "", json!({}), 400, "client_id"),
        ("POST", "", json!({"client_id": "portal"}), 409, "client_id"),
        ("POST", "", json!({"client_id": "a b"}), 400, "client_id"),
        ("POST", "", json!({"client_id": "gatepass"}), 400, "client_id"),
        ("POST", "", json!({"client_id": "usr_a"}), 400, "client_id"),
        ("POST", "", json!({"client_id": "a", "scope": "gatepass:admin"}), 400, "scope"),
        ("POST", "", json!({"client_id": "a", "scope": "a  b"}), 400, "scope"),
        ("POST", "", json!({"client_id": "a", "default_scope": "b"}), 400, "default_scope"),
        ("POST", "", json!({"client_id": "a", "audiences": ["a b"]}), 400, "audiences"),
        ("POST", "", json!({"client_id": "a", "token_lifetime": 0}), 400, "token_lifetime"),
        ("POST", "", json!({"client_id": "a", "second_factor": "sometimes"}), 400, "second_factor"),
        ("POST", "", json!({"client_id": "a", "keys": [{"kty": "oct", "k": "AAAA"}]}), 400, "keys"),
        ("POST", "", json!({"client_id": "a", "roles": ["officer"]}), 409, "roles"),
        ("PATCH", "/portal", json!({"roles": ["officer"]}), 409, "roles"),
        ("PATCH", "/portal", json!({"roles": []}), 409, "roles"),
        ("PATCH", "/portal", json!({"scope": "gatepass:enrol"}), 400, "scope"),
        ("PATCH", "/portal", json!({"default_scope": "b"}), 400, "default_scope"),
        ("PATCH", "/portal", json!({"enabled": "no"}), 400, "enabled"),
        ("PATCH", "/nobody", json!({}), 404, ""),
        ("DELETE", "/nobody", NOTHING, 404, ""),
        ("GET", "/a%20b", NOTHING, 404, ""),
        ("PUT", "/portal", json!({}), 405, ""),
    ] {
        let before = server.tables();
        let refused = done(&server, method, path, &body, status);
        assert_eq!(refused["field"].as_str().unwrap_or_default(), field, "{method} {path} {body}: {refused}");
        assert_eq!(server.tables(), before, "{method} {path} {body}");
    }
}

#[test]
fn it_takes_an_officer() {
    for (method, path, body) in [
        ("GET", "", NOTHING),
        ("POST", "", json!({"client_id": "new"})),
        ("GET", "/portal", NOTHING),
        ("PATCH", "/portal", json!({"enabled": false})),
        ("DELETE", "/portal", NOTHING),
        ("GET", "/portal/secrets", NOTHING),
        ("POST", "/portal/secrets", json!({})),
        ("DELETE", "/portal/secrets/sec_1", NOTHING),
        ("GET", "/portal/keys", NOTHING),
        ("PUT", "/portal/keys", json!({"keys": []})),
        ("POST", "/portal/keys", json!({"jwk": {}})),
        ("DELETE", "/portal/keys/a", NOTHING),
    ] {
        for (roles, code) in [(&[][..], 40300), (&[Role::Operator], 40305), (&[Role::Auditor], 40305)] {
            let server = server(roles);
            let before = server.tables();
            let refused = done(&server, method, path, &body, 403);
            assert!(refused["code"] == code || roles.is_empty(), "{method} {path} {roles:?}: {refused}");
            assert_eq!(server.tables(), before);
        }
    }
}

#[test]
fn a_client_chooses_the_algorithm_of_its_tokens_among_those_that_sign() {
    let server = server(&[Role::Officer]);
    let key = StoredKey::new(&signing_key(), KeyState::Signing, NOON);
    let signs = key.record.algorithm.as_str();
    server.store.with(|tables| tables.keys.push(key));
    let added = done(&server, "POST", "", &json!({"client_id": "new", "signing_algorithm": signs}), 201);
    assert_eq!(added["signing_algorithm"], signs);
    for (sent, chosen) in [(json!({"signing_algorithm": null}), &NOTHING), (json!({"name": "x"}), &NOTHING)] {
        assert_eq!(&done(&server, "PATCH", "/new", &sent, 200)["signing_algorithm"], chosen, "{sent}");
    }
    let again = json!({"signing_algorithm": signs, "enabled": false});
    assert_eq!(done(&server, "PATCH", "/new", &again, 200)["signing_algorithm"], signs);
    for (method, path, sent) in [
        ("POST", "", json!({"client_id": "other", "signing_algorithm": "PS512"})),
        ("PATCH", "/new", json!({"signing_algorithm": "PS512"})),
        ("PATCH", "/new", json!({"signing_algorithm": "none"})),
    ] {
        let refused = done(&server, method, path, &sent, 400);
        assert_eq!(
            (&refused["field"], &refused["code"]),
            (&json!("signing_algorithm"), &json!(40050)),
            "{sent}"
        );
    }
    assert_eq!(done(&server, "GET", "/new", &NOTHING, 200)["signing_algorithm"], signs);
    done(&server, "PATCH", "/nobody", &json!({"signing_algorithm": signs}), 404);
}
