//! One key of each algorithm signs, chosen by client, from its publication to its end: commands beside a running server.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_tests::fixtures::segment;
use gatepass_tests::http::TestRequest;
use gatepass_tests::server::TestInstallation;
use serde_json::{Value, json};

/// Runs a command that is refused, and returns its exit code and what it says.
fn refused(installation: &TestInstallation, arguments: &[&str]) -> (i32, String) {
    let output = installation.run(arguments);
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Returns the kid of the key that `generate` made.
fn kid(made: &Value) -> String {
    made["kid"].as_str().expect("a kid").to_owned()
}

#[test]
fn a_client_chooses_the_algorithm_of_its_tokens() {
    let installation = TestInstallation::new();
    let server = installation.serve(&["--issuer", "http://gate.example"]);
    installation.populate();
    let target = server.target();
    let of_service = || segment(&target.service_token("profile"), 0)["alg"].clone();
    let of_person =
        |body: Value| segment(&target.sign_in(&target.ticket(&body)).text("access_token"), 0)["alg"].clone();
    assert_eq!(of_service(), "RS256");

    let (code, said) = refused(&installation, &["client", "set", "backend", "--signing-alg", "ES256"]);
    assert!(code == 1 && said.contains("key rotate --alg ES256 --beside"), "{said}");
    let es = installation.json(&["key", "generate", "--alg", "ES256", "--activate", "--beside"]);
    assert_eq!((&es["state"], &es["default"]), (&json!("signing"), &json!(false)));
    assert_eq!(of_service(), "RS256", "it signs for nobody yet");
    let set = installation.json(&["client", "set", "backend", "--signing-alg", "es256"]);
    assert_eq!(set["signing_algorithm"], "ES256");
    assert_eq!(of_service(), "ES256");
    assert_eq!(of_person(json!({"user_id": "alice"})), "ES256", "the session is for the client that issued");
    assert_eq!(of_person(json!({"user_id": "alice", "audience": "portal"})), "RS256");
    let token = target.service_token("profile");
    assert_eq!(target.ask(&TestRequest::new("GET", "/userinfo").bearer(&token)).status, 200);

    // Another default key: the former one signs for nobody, and the key that a client chooses stays.
    let eddsa = installation.json(&["key", "generate", "--alg", "EdDSA", "--activate"]);
    assert_eq!(eddsa["default"], true);
    let states = |installation: &TestInstallation| {
        let keys = installation.json(&["key", "list"]);
        let state = |key: &Value| (key["alg"].clone(), key["state"].clone(), key["default"].clone());
        keys.as_array().expect("a list").iter().map(state).collect::<Vec<_>>()
    };
    let key = |alg: &str, state: &str, default: bool| (json!(alg), json!(state), json!(default));
    assert_eq!(
        states(&installation),
        [
            key("RS256", "verifying-only", false),
            key("ES256", "signing", false),
            key("EdDSA", "signing", true)
        ]
    );
    assert_eq!(
        (of_service(), of_person(json!({"user_id": "alice", "audience": "portal"}))),
        ("ES256".into(), "EdDSA".into())
    );
    let promoted = installation.json(&["key", "activate", &kid(&es), "--default"]);
    assert_eq!(promoted["default"], true);
    assert_eq!(
        states(&installation)[1..],
        [key("ES256", "signing", true), key("EdDSA", "verifying-only", false)]
    );
    let back = installation.json(&["key", "activate", &kid(&eddsa), "--default", "--now"]);
    assert_eq!((&back["state"], &back["default"]), (&json!("signing"), &json!(true)));

    // A key that a client chooses stays; without a client it stops, and is removed once its tokens have expired.
    let (code, said) = refused(&installation, &["key", "retire", &kid(&es)]);
    assert!(code == 1 && said.contains("key rotate --alg ES256"), "{said}");
    installation.json(&["client", "set", "backend", "--signing-alg", ""]);
    let stopped = installation.json(&["key", "retire", &kid(&es)]);
    assert_eq!(stopped["state"], "verifying-only");
    assert_eq!(target.ask(&TestRequest::new("GET", "/userinfo").bearer(&token)).status, 200);
    let (code, said) = refused(&installation, &["key", "retire", &kid(&es)]);
    let from = stopped["retire_from"].as_str().expect("a time");
    assert!(code == 1 && said.contains(from) && said.contains("--now"), "{said}");
    assert_eq!(installation.json(&["key", "retire", &kid(&es), "--now"])["state"], "retired");
    assert_eq!(target.ask(&TestRequest::new("GET", "/userinfo").bearer(&token)).status, 401);
    assert_eq!(of_service(), "EdDSA");
}

#[test]
fn public_keys_are_exported() {
    let installation = TestInstallation::new();
    let server = installation.serve(&["--issuer", "http://gate.example"]);
    let es = installation.json(&["key", "generate", "--alg", "ES256"]);
    let shared = installation.json(&["key", "generate", "--alg", "HS256"]);
    let published = server.target().ask(&TestRequest::new("GET", "/.well-known/jwks.json")).json();
    let ordered = |set: &Value| {
        let mut kids: Vec<Value> = set["keys"].as_array().expect("keys").clone();
        kids.sort_by_key(ToString::to_string);
        kids
    };
    let exported = installation.json(&["key", "export"]);
    assert_eq!(ordered(&exported), ordered(&published), "as at /.well-known/jwks.json");
    assert_eq!(exported["keys"].as_array().expect("keys").len(), 2);
    let one = installation.json(&["key", "export", &kid(&es)]);
    assert_eq!((one["keys"].as_array().map(Vec::len), &one["keys"][0]["kid"]), (Some(1), &es["kid"]));
    let pem = installation.json(&["key", "export", "--pem", &kid(&es)]);
    let text = pem[0]["pem"].as_str().expect("a PEM");
    assert!(text.starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"), "{text}");
    for (asked, said) in [(kid(&shared), "shared secret"), ("nothing".into(), "gatepass key list")] {
        let (code, told) = refused(&installation, &["key", "export", &asked]);
        assert!(code == 1 && told.contains(said), "{told}");
    }
}

#[test]
fn an_officer_makes_activates_stops_and_retires_keys_over_http() {
    let installation = TestInstallation::new();
    let server = installation.serve(&["--issuer", "http://gate.example"]);
    installation.populate();
    installation.json(&["client", "set", "backend", "--role", "officer"]);
    let target = server.target();
    let token = target.service_token("gatepass:admin");
    let sends = |method: &str, path: &str| {
        target.ask(&TestRequest::new(method, &format!("/admin/v1/keys{path}")).bearer(&token))
    };
    let posts = |path: &str, body: &Value| {
        target.ask(&TestRequest::json(&format!("/admin/v1/keys{path}"), body).bearer(&token))
    };
    let listed = sends("GET", "").json();
    let default = kid(&listed["items"][0]);
    assert_eq!((&listed["items"][0]["default"], &listed["next"]), (&json!(true), &Value::Null));

    let made = posts("", &json!({"alg": "ES256"}));
    let (es, key) = (kid(&made.json()), made.json());
    assert_eq!((made.status, &key["state"], &key["default"]), (201, &json!("published"), &json!(false)));
    let location = made.header("location").map(ToString::to_string);
    assert_eq!(location, Some(format!("/admin/v1/keys/{es}")));
    assert_eq!(sends("GET", &format!("/{es}")).json(), key);
    let unknown = posts("", &json!({"alg": "none"}));
    assert_eq!((unknown.status, &unknown.json()["field"]), (400, &json!("alg")));

    let early = posts(&format!("/{es}/activate"), &json!({}));
    assert_eq!(early.status, 409);
    assert!(early.text("message").contains(key["signs_from"].as_str().expect("a time")), "{early:?}");
    let active = posts(&format!("/{es}/activate"), &json!({"now": true})).json();
    assert_eq!((&active["state"], &active["default"]), (&json!("signing"), &json!(false)));
    assert_eq!(segment(&target.service_token("profile"), 0)["alg"], "RS256");

    assert_eq!(sends("DELETE", &format!("/{default}")).status, 409, "the default key stays");
    assert_eq!(sends("DELETE", &format!("/{es}?now=true")).status, 409, "it signs");
    let stopped = sends("POST", &format!("/{es}/stop"));
    assert_eq!((stopped.status, &stopped.json()["state"]), (200, &json!("verifying-only")));
    assert_eq!(sends("DELETE", &format!("/{es}")).status, 409, "its tokens may be good");
    assert_eq!(sends("GET", &format!("/{es}")).json()["retire_from"], stopped.json()["retire_from"]);
    let again = posts(&format!("/{es}/activate"), &json!({"default": true, "now": true}));
    assert_eq!((again.status, &again.json()["default"]), (200, &json!(true)));
    assert_eq!(segment(&target.service_token("profile"), 0)["alg"], "ES256");
    let removed = TestRequest::new("DELETE", &format!("/admin/v1/keys/{default}?now=true")).bearer(&token);
    assert_eq!(removed.to(server.address).status, 204);
    assert_eq!(sends("GET", &format!("/{default}")).status, 401, "the token is one that it signed");
    let token = target.service_token("gatepass:admin");
    let gone = TestRequest::new("GET", &format!("/admin/v1/keys/{default}")).bearer(&token);
    assert_eq!(target.ask(&gone).status, 404);
}
