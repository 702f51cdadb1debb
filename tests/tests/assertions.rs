//! Authentication by private key: what an assertion has to be, every way to forge or to repeat one, across restarts and processes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass_core::base::time::Time;
use gatepass_core::http::request::Request;
use gatepass_core::records::client_key::ClientKey;
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::store::audit::Refusal;
use gatepass_tests::assertions::{SEED, TYPE, claims, give_key, key_set, posts_with, signed};
use gatepass_tests::fixtures::{self, NOON, PORTAL_SECRET, impersonates, posts};
use gatepass_tests::http::TestRequest;
use gatepass_tests::in_memory_server::InMemoryServer;
use gatepass_tests::server::TestInstallation;
use gatepass_tests::suite::Target;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

const ISSUER: &str = "http://gate.example";
const GRANT: &str = "grant_type=client_credentials";

/// A server whose clients `portal` and `closed` have a key.
fn server() -> InMemoryServer {
    let mut tables = fixtures::tables();
    give_key(&mut tables, "portal");
    give_key(&mut tables, "closed");
    InMemoryServer::new(fixtures::engine(ISSUER), tables)
}

fn good() -> Value {
    claims("portal", ISSUER, "one", NOON)
}

/// The claims of a good assertion, otherwise with this one; `null` leaves it out.
fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    claims
}

fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// The private key of `seed`, for a library of others.
fn private(seed: [u8; 32]) -> EncodingKey {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(seed);
    EncodingKey::from_ed_der(&der)
}

/// An assertion with any header, signed by a library of others.
fn forged(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let input = format!("{}.{}", part(&header.to_string()), part(&claims.to_string()));
    let signature = jsonwebtoken::crypto::sign(input.as_bytes(), key, algorithm).expect("a signature");
    format!("{input}.{signature}")
}

/// The same, signed with the client's own key.
fn headed(header: &Value) -> String {
    forged(header, &good(), &private(SEED), Algorithm::EdDSA)
}

fn own_key() -> Value {
    serde_json::from_str::<Value>(&key_set()).expect("JSON")["keys"][0].clone()
}

fn token(assertion: &str) -> Request {
    posts_with("/oauth2/token", assertion, GRANT)
}

/// Sends an assertion for a token: the status, the reason for the audit table, and the description.
fn answer(server: &InMemoryServer, assertion: &str) -> (u16, Option<Refusal>, String) {
    let reply = server.send(token(assertion));
    let body: Value = serde_json::from_slice(reply.body()).expect("JSON");
    assert_eq!(reply.attempt().filter(|_| reply.status() != 200), None, "it is no guess");
    let why = body["error_description"].as_str().unwrap_or_default().to_owned();
    assert!(why.bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{why}");
    assert_eq!(reply.status() == 200, body["error"].is_null(), "{body}");
    assert!(reply.status() == 200 || body["error"] == "invalid_client", "{body}");
    (reply.status(), reply.refusal(), why)
}

#[test]
fn what_is_good_is_answered_with_a_token() {
    let now = NOON.unix();
    let header = |typ: Value| {
        let mut header = json!({"alg": "EdDSA", "typ": typ, "kid": own_key()["kid"]});
        header.as_object_mut().expect("a header").retain(|_, value| !value.is_null());
        header
    };
    for (what, assertion) in [
        ("plain", signed(&good())),
        ("made a minute ago", signed(&with("iat", json!(now - 60)))),
        ("made by a clock a minute ahead", signed(&with("iat", json!(now + 60)))),
        ("good for a day", signed(&with("exp", json!(now + 86_400)))),
        ("in its last second", signed(&with("exp", json!(now + 1)))),
        ("without iat, good for five minutes", {
            let mut claims = with("iat", Value::Null);
            claims["exp"] = json!(now + 300);
            signed(&claims)
        }),
        ("with nbf", signed(&with("nbf", json!(now)))),
        ("with a claim of its own", signed(&with("scope", json!("admin")))),
        ("without typ", headed(&header(Value::Null))),
        ("with typ as a media type", headed(&header(json!("application/Client-Authentication+JWT")))),
        ("without kid", headed(&json!({"alg": "EdDSA"}))),
    ] {
        let server = server();
        let (status, _, why) = answer(&server, &assertion);
        assert_eq!(status, 200, "{what}: {why}");
        let (status, refusal, why) = answer(&server, &assertion);
        assert_eq!((status, refusal), (401, Some(Refusal::AssertionReused)), "{what}");
        assert!(why.contains("used before"), "{why}");
    }
}

#[test]
fn what_is_forged_or_malformed_is_refused() {
    use Refusal::{AssertionRefused, AssertionWrong, ClientInactive, ClientUnknown};
    let now = NOON.unix();
    let own = private(SEED);
    let public = URL_SAFE_NO_PAD.decode(own_key()["x"].as_str().expect("x")).expect("base64url");
    let hmac = |secret: &[u8]| {
        let secret = EncodingKey::from_secret(secret);
        forged(&json!({"alg": "HS256", "kid": own_key()["kid"]}), &good(), &secret, Algorithm::HS256)
    };
    let none =
        |alg: &str| format!("{}.{}.", part(&json!({ "alg": alg }).to_string()), part(&good().to_string()));
    let of = |claims: Value| signed(&claims);
    let by = |header: Value| headed(&header);
    let of_another =
        |claims: &Value| forged(&json!({"alg": "EdDSA"}), claims, &private([8; 32]), Algorithm::EdDSA);
    let cut = |cut: usize| {
        let text = signed(&good());
        text[..text.len() - cut].to_owned()
    };
    let about = |id: &str| claims(id, ISSUER, "one", NOON);
    let raw = |header: &str, payload: &str| {
        let input = format!("{}.{}", part(header), part(payload));
        let signature =
            jsonwebtoken::crypto::sign(input.as_bytes(), &own, Algorithm::EdDSA).expect("a signature");
        format!("{input}.{signature}")
    };
    let eddsa = r#"{"alg":"EdDSA"}"#;
    let twice = good().to_string().replacen('{', r#"{"sub":"backend","#, 1);
    for (what, assertion, refusal, told) in [
        ("alg none", none("none"), AssertionRefused, "its alg"),
        ("alg None", none("None"), AssertionRefused, "its alg"),
        ("no alg", by(json!({})), AssertionRefused, "its alg"),
        ("an unknown alg", by(json!({"alg": "ES256K"})), AssertionRefused, "its alg"),
        ("the public key as a secret", hmac(&public), AssertionRefused, "shared secrets"),
        (
            "the public JWK as a secret",
            hmac(own_key().to_string().as_bytes()),
            AssertionRefused,
            "shared secrets",
        ),
        ("the client's secret", hmac(PORTAL_SECRET.as_bytes()), AssertionRefused, "shared secrets"),
        ("another name of the algorithm", by(json!({"alg": "Ed25519"})), AssertionWrong, ""),
        ("another algorithm", by(json!({"alg": "RS256"})), AssertionWrong, ""),
        ("another key", of_another(&good()), AssertionWrong, ""),
        ("another kid", by(json!({"alg": "EdDSA", "kid": "other"})), AssertionWrong, ""),
        ("an empty kid", by(json!({"alg": "EdDSA", "kid": ""})), AssertionWrong, ""),
        ("a kid that is no text", by(json!({"alg": "EdDSA", "kid": 7})), AssertionRefused, "no compact JWS"),
        ("a kid that is a path", by(json!({"alg": "EdDSA", "kid": "../../dev/null"})), AssertionWrong, ""),
        ("a kid that is SQL", by(json!({"alg": "EdDSA", "kid": "' OR 1=1 --"})), AssertionWrong, ""),
        ("a key of its own", by(json!({"alg": "EdDSA", "jwk": own_key()})), AssertionRefused, "its own key"),
        ("jku", by(json!({"alg": "EdDSA", "jku": "https://a.example"})), AssertionRefused, "its own key"),
        ("x5u", by(json!({"alg": "EdDSA", "x5u": "https://a.example"})), AssertionRefused, "its own key"),
        ("crit", by(json!({"alg": "EdDSA", "crit": ["exp"]})), AssertionRefused, "extension"),
        ("b64", by(json!({"alg": "EdDSA", "b64": false})), AssertionRefused, "extension"),
        ("an access token's typ", by(json!({"alg": "EdDSA", "typ": "at+jwt"})), AssertionRefused, "its typ"),
        ("typ JWT", by(json!({"alg": "EdDSA", "typ": "JWT"})), AssertionRefused, "its typ"),
        ("an empty typ", by(json!({"alg": "EdDSA", "typ": ""})), AssertionRefused, "its typ"),
        ("no signature", cut(86), AssertionWrong, ""),
        ("a cut signature", cut(1), AssertionRefused, "no compact JWS"),
        ("a signature cut by bytes", cut(2), AssertionWrong, ""),
        ("two parts", "e30.e30".into(), AssertionRefused, "no compact JWS"),
        ("four parts", format!("{}.e30", signed(&good())), AssertionRefused, "no compact JWS"),
        ("a text", "gps_secret".into(), AssertionRefused, "no compact JWS"),
        ("a huge one", of(with("note", json!("x".repeat(16 * 1024)))), AssertionRefused, "16 KiB"),
        ("a payload that is no object", raw(eddsa, "[]"), AssertionRefused, "its payload"),
        ("a claim twice", raw(eddsa, &twice), AssertionRefused, "its payload"),
        ("a header member twice", raw(r#"{"alg":"EdDSA","alg":"EdDSA"}"#, "{}"), AssertionRefused, "compact"),
        ("no iss", of(with("iss", Value::Null)), AssertionRefused, "its iss"),
        ("no sub", of(with("sub", Value::Null)), AssertionRefused, "its sub"),
        ("no jti", of(with("jti", Value::Null)), AssertionRefused, "its jti"),
        ("an empty jti", of(with("jti", json!(""))), AssertionRefused, "its jti"),
        ("a jti that is no text", of(with("jti", json!(7))), AssertionRefused, "its jti"),
        ("of another issuer", of(with("iss", json!("backend"))), AssertionRefused, "iss and sub"),
        ("about another", of(with("sub", json!("backend"))), AssertionRefused, "iss and sub"),
        ("about another client", of(about("backend")), AssertionWrong, ""),
        ("about nobody", of(about("nobody")), ClientUnknown, ""),
        ("about what cannot be a client", of(about("a b")), AssertionRefused, "iss and sub"),
        ("about a disabled client", of(about("closed")), ClientInactive, ""),
        ("no aud", of(with("aud", Value::Null)), AssertionRefused, "its aud"),
        ("for another server", of(with("aud", json!("https://other.example"))), AssertionRefused, "its aud"),
        (
            "for the endpoint",
            of(with("aud", json!("http://gate.example/oauth2/token"))),
            AssertionRefused,
            "its aud",
        ),
        (
            "for the issuer with a slash",
            of(with("aud", json!("http://gate.example/"))),
            AssertionRefused,
            "its aud",
        ),
        ("for a list", of(with("aud", json!([ISSUER]))), AssertionRefused, "its aud"),
        ("for two", of(with("aud", json!([ISSUER, "b"]))), AssertionRefused, "its aud"),
        ("no exp", of(with("exp", Value::Null)), AssertionRefused, "its exp"),
        ("exp as a text", of(with("exp", json!((now + 60).to_string()))), AssertionRefused, "its exp"),
        ("exp as a fraction", of(with("exp", json!(1_750_000_060.5))), AssertionRefused, "its exp"),
        ("exp below nothing", of(with("exp", json!(-1))), AssertionRefused, "its exp"),
        ("exp beyond all", of(with("exp", json!(u64::MAX))), AssertionRefused, "its exp"),
        ("expired", of(with("exp", json!(now))), AssertionRefused, "it was good until 2025-06-15T15:06:40Z"),
        ("made 61 s ago", of(with("iat", json!(now - 61))), AssertionRefused, "it was good until"),
        ("made 61 s ahead", of(with("iat", json!(now + 61))), AssertionRefused, "it is good from"),
        ("iat as a text", of(with("iat", json!("now"))), AssertionRefused, "its iat"),
        ("good from 61 s on", of(with("nbf", json!(now + 61))), AssertionRefused, "it is good from"),
        (
            "without iat, for 301 s",
            {
                let mut claims = with("iat", Value::Null);
                claims["exp"] = json!(now + 301);
                of(claims)
            },
            AssertionRefused,
            "no iat",
        ),
    ] {
        let server = server();
        let (status, found, why) = answer(&server, &assertion);
        assert_eq!((status, found), (401, Some(refusal)), "{what}: {why}");
        let told = if told.is_empty() { "client authentication failed" } else { told };
        assert!(why.contains(told), "{what}: {why}");
        assert!(server.tables().used_assertions.is_empty(), "{what}: nothing was used");
        // It costs the client nothing: it can go on.
        assert_eq!(answer(&server, &signed(&good())).0, 200, "{what}");
    }
}

#[test]
fn one_method_in_one_request() {
    let assertion = signed(&good());
    let form = |rest: &str| format!("{GRANT}&{TYPE}{assertion}{rest}");
    let basic = |form: &str| posts("/oauth2/token", "portal", PORTAL_SECRET, form);
    let post = |form: &str| Request { body: form.into(), ..token("") };
    let mutated = |from: &str, to: &str| post(&form("").replace(from, to));
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    for (ask, status, error, told) in [
        (basic(&form("")), 400, "invalid_request", "one client authentication method"),
        (
            post(&form("&client_id=portal&client_secret=x")),
            400,
            "invalid_request",
            "one client authentication method",
        ),
        (post(&form("&client_id=backend")), 400, "invalid_request", "differs from the sub"),
        (post(&form(&format!("&client_assertion={assertion}"))), 400, "invalid_request", "repeated"),
        (
            mutated(kind, "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Asaml2-bearer"),
            401,
            "invalid_client",
            "client_assertion_type",
        ),
        (mutated(kind, ""), 401, "invalid_client", "client_assertion_type"),
        (mutated(&assertion, ""), 401, "invalid_client", "client_assertion is missing"),
        (post(&form("&client_id=portal")), 200, "", ""),
    ] {
        let server = server();
        let reply = server.send(ask);
        let body: Value = serde_json::from_slice(reply.body()).expect("JSON");
        assert_eq!((reply.status(), body["error"].as_str().unwrap_or_default()), (status, error), "{body}");
        assert!(body["error_description"].as_str().unwrap_or_default().contains(told), "{body}");
        assert_eq!(server.tables().used_assertions.len(), usize::from(status == 200));
    }
}

#[test]
fn an_assertion_is_good_once_at_every_endpoint_together() {
    let server = server();
    let session = impersonates(&server.engine, &server.store);
    let refresh = session["refresh_token"].as_str().expect("a refresh token");
    let access = session["access_token"].as_str().expect("an access token");
    let forms = [
        ("/oauth2/token", GRANT.to_owned()),
        ("/oauth2/introspect", format!("token={access}")),
        ("/oauth2/token", format!("grant_type=refresh_token&refresh_token={refresh}")),
        ("/oauth2/revoke", format!("token={access}")),
        ("/oauth2/revoke", "token=unknown".to_owned()),
    ];
    for (number, (path, form)) in forms.iter().enumerate() {
        let assertion = signed(&claims("portal", ISSUER, &number.to_string(), NOON));
        let before = server.tables();
        assert_eq!(server.send(posts_with(path, &assertion, form)).status(), 200, "{path}: {form}");
        assert_eq!(server.tables().used_assertions.len(), before.used_assertions.len() + 1, "{path}");
        let used = server.tables();
        for (path, form) in &forms {
            let reply = server.send(posts_with(path, &assertion, form));
            assert_eq!((reply.status(), reply.refusal()), (401, Some(Refusal::AssertionReused)), "{path}");
        }
        assert_eq!(server.tables(), used, "a repetition writes nothing");
    }
    // A refusal uses it, too; a jti is one of its client, whatever else the assertion says.
    let assertion = signed(&claims("portal", ISSUER, "refused", NOON));
    let asks = |scope: &str| posts_with("/oauth2/token", &assertion, &format!("{GRANT}&scope={scope}"));
    assert_eq!(server.send(asks("nothing")).status(), 400);
    assert_eq!(server.send(asks("orders:read")).refusal(), Some(Refusal::AssertionReused));
    let mut later = claims("portal", ISSUER, "refused", NOON);
    later["exp"] = json!(NOON.unix() + 30);
    assert_eq!(answer(&server, &signed(&later)).1, Some(Refusal::AssertionReused));
}

#[test]
fn keys_are_read_anew_for_every_request() {
    let server = server();
    let ask = |jti: &str| answer(&server, &signed(&claims("portal", ISSUER, jti, NOON))).0;
    assert_eq!(ask("a"), 200);
    server.edit_client("portal", |client| client.keys.clear());
    assert_eq!(ask("b"), 401);
    // Two keys of one algorithm: an assertion has to say by which it is verified.
    let own = own_key();
    let other = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let set = json!({"keys": [other, own]}).to_string();
    server.edit_client("portal", |client| client.keys = ClientKey::read_set(set.as_bytes()).expect("keys"));
    assert_eq!(ask("c"), 200);
    assert_eq!(answer(&server, &headed(&json!({"alg": "EdDSA"}))).1, Some(Refusal::AssertionWrong));
    // Its secret is as good as before.
    assert_eq!(server.send(posts("/oauth2/token", "portal", PORTAL_SECRET, GRANT)).status(), 200);
}

#[test]
fn times_are_those_of_the_wall_clock() {
    let server = server();
    let wall = NOON.plus(86_400);
    let inputs = |seed| RequestInputs { wall, ..fixtures::inputs(NOON, seed) };
    let ask = |claims: &Value, seed| {
        let (engine, store) = (&server.engine, &server.store);
        gatepass_tests::api_document::drive(engine, store, token(&signed(claims)), inputs(seed)).status()
    };
    assert_eq!(ask(&good(), 900), 401);
    assert_eq!(ask(&claims("portal", ISSUER, "one", wall), 901), 200);
}

/// The wall clock's time.
fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Time::from_unix(since.as_secs())
}

#[test]
fn an_assertion_is_good_once_across_restarts_and_processes() {
    let installation = TestInstallation::new();
    let mut server = installation.serve(&["--issuer", ISSUER]);
    std::fs::write(installation.path().join("portal.jwks"), key_set()).expect("a file");
    let file = installation.path().join("portal.jwks").display().to_string();
    let added = installation.json(&[
        "client",
        "add",
        "portal",
        "--scope",
        "a",
        "--default-scope",
        "a",
        "--jwks",
        &file,
    ]);
    assert_eq!(added, json!({"client_id": "portal", "client_secret": null}), "it needs no secret");
    let shown = installation.json(&["client", "show", "portal"]);
    assert_eq!((&shown["keys"], &shown["secrets"]), (&json!([own_key()]), &json!([])));
    let ask = |target: Target, assertion: &str| {
        target.ask(&TestRequest::form("/oauth2/token", &format!("{GRANT}&{TYPE}{assertion}"))).status
    };
    let made = |jti: &str| signed(&claims("portal", ISSUER, jti, wall()));
    let (one, two) = (made("one"), made("two"));
    assert_eq!((ask(server.target(), &one), ask(server.target(), &one)), (200, 401));
    let beside = installation.serve(&["--issuer", ISSUER]);
    assert_eq!(ask(beside.target(), &one), 401);
    assert_eq!((ask(beside.target(), &two), ask(server.target(), &two)), (200, 401));
    drop(beside);
    assert!(server.end());
    let server = installation.serve(&["--issuer", ISSUER]);
    assert_eq!((ask(server.target(), &one), ask(server.target(), &two)), (401, 401));
    assert_eq!(ask(server.target(), &made("three")), 200);
    server.kill();
    let server = installation.serve(&["--issuer", ISSUER]);
    assert_eq!(ask(server.target(), &made("three")), 401);
    installation.json(&["client", "set", "portal", "--jwks", ""]);
    assert_eq!(ask(server.target(), &made("four")), 401);
}

#[test]
fn a_restore_forgets_what_was_used_since_the_backup_until_its_time_is_over() {
    let installation = TestInstallation::new();
    let file = |name: &str| installation.path().join(name).display().to_string();
    std::fs::write(file("portal.jwks"), key_set()).expect("a file");
    let mut server = installation.serve(&["--issuer", ISSUER]);
    let keys = file("portal.jwks");
    installation.json(&["client", "add", "portal", "--scope", "a", "--default-scope", "a", "--jwks", &keys]);
    let ask = |target: Target, assertion: &str| {
        target.ask(&TestRequest::form("/oauth2/token", &format!("{GRANT}&{TYPE}{assertion}"))).status
    };
    let now = wall().unix();
    let made = |jti: &str, iat: Option<u64>, exp: u64| {
        let mut claims = claims("portal", ISSUER, jti, wall());
        claims["exp"] = exp.into();
        claims.as_object_mut().expect("claims").remove("iat");
        iat.into_iter().for_each(|iat| claims["iat"] = iat.into());
        signed(&claims)
    };
    let before = made("before", Some(now + 50), now + 3_600);
    // One says when it was made, the other does not.
    let since = [made("dated", Some(now + 50), now + 3_600), made("undated", None, now + 290)];
    assert_eq!(ask(server.target(), &before), 200);
    installation.json(&["backup", &file("one.backup")]);
    for assertion in &since {
        assert_eq!((ask(server.target(), assertion), ask(server.target(), assertion)), (200, 401));
    }
    assert!(server.end());
    installation.json(&["restore", &file("one.backup"), "--replace"]);
    let server = installation.serve(&["--issuer", ISSUER]);
    assert_eq!(ask(server.target(), &before), 401);
    for assertion in &since {
        assert_eq!((ask(server.target(), assertion), ask(server.target(), assertion)), (200, 401));
    }
}

#[test]
fn many_at_once_use_an_assertion_once() {
    let installation = TestInstallation::new();
    let server = installation.serve(&["--issuer", ISSUER]);
    let beside = installation.serve(&["--issuer", ISSUER]);
    std::fs::write(installation.path().join("keys"), key_set()).expect("a file");
    let file = installation.path().join("keys").display().to_string();
    installation.json(&["client", "add", "portal", "--scope", "a", "--default-scope", "a", "--jwks", &file]);
    let assertion = signed(&claims("portal", ISSUER, "one", wall()));
    let form = format!("{GRANT}&{TYPE}{assertion}");
    let ask = |target: Target| target.ask(&TestRequest::form("/oauth2/token", &form)).status;
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let targets = [server.target(), beside.target()].into_iter().cycle().take(16);
        let asking: Vec<_> = targets.map(|target| scope.spawn(move || ask(target))).collect();
        asking.into_iter().map(|asking| asking.join().expect("an answer")).collect()
    });
    let count = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(200), count(401)), (1, 15), "{statuses:?}");
}

#[test]
fn files_of_keys_are_checked_by_the_command() {
    let installation = TestInstallation::new();
    installation.json(&["--init", "client", "add", "svc"]);
    let run = |set: &str| {
        let output = installation.run_with(&["client", "set", "svc", "--jwks", "-"], set);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let private =
        own_key().to_string().replacen('{', r#"{"d":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk","#, 1);
    for (set, told) in [
        ("", "no JWK set"),
        (r#"{"keys":7}"#, "no JWK set"),
        (&own_key().to_string(), "no JWK set"),
        (&format!(r#"{{"keys":[{private}]}}"#), "key 1 of the set: it is a private key"),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, "key 1 of the set: it is a shared secret"),
        (
            &format!(r#"{{"keys":[{},{}]}}"#, own_key(), own_key()),
            "key 2 of the set: an earlier key has the same kid",
        ),
    ] {
        let (code, said) = run(set);
        assert_eq!(code, Some(1), "{set}: {said}");
        assert!(said.contains(told) && !said.contains("CQkJ"), "{said}");
    }
    assert_eq!(run(&key_set()).0, Some(0));
    let missing = installation.run(&["client", "set", "svc", "--jwks", "nothing/here"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read the JWK set nothing/here"));
}
