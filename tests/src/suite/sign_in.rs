//! Signing in by a ticket.

use std::thread;

use serde_json::json;

use super::{Target, claims, keys, sign_in, simple, uncached};
use crate::fixtures::{BACKEND_SECRET, PORTAL_SECRET};
use crate::http::TestRequest;

pub(super) fn a_ticket_signs_in_once(target: Target) {
    let ticket = target.ticket(&json!({"user_id": "alice"}));
    let first = target.sign_in(&ticket);
    assert_eq!(first.status, 200, "{first:?}");
    uncached(&first);
    for _ in 0..3 {
        let again = target.sign_in(&ticket);
        simple(&again, 400, 40010);
        uncached(&again);
    }
    let unknown = target.sign_in("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    simple(&unknown, 400, 40010);
    assert_eq!(unknown.text("message"), target.sign_in(&ticket).text("message"));
}

pub(super) fn sixty_four_redeem_one_ticket(target: Target) {
    let ticket = target.ticket(&json!({"user_id": "alice"}));
    let redeemers: Vec<_> = (0..64)
        .map(|_| {
            let ticket = ticket.clone();
            thread::spawn(move || target.sign_in(&ticket).status)
        })
        .collect();
    let statuses: Vec<u16> = redeemers.into_iter().map(|r| r.join().expect("a redeemer")).collect();
    assert_eq!(statuses.iter().filter(|&&s| s == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&s| s == 400).count(), 63, "{statuses:?}");
}

pub(super) fn the_login_response_is_the_origin_documents(target: Target) {
    let answer = target.sign_in(&target.ticket(&json!({"user_id": "alice"})));
    let body = answer.json();
    assert_eq!(
        keys(&body),
        [
            "access_token",
            "expires_in",
            "must_change_password",
            "refresh_token",
            "requires_mfa",
            "risk_assessment",
            "risk_level",
            "token_type",
            "user",
            "user_id"
        ]
    );
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["requires_mfa"], &body["must_change_password"]),
        (&json!("Bearer"), &json!(1800), &json!(false), &json!(false))
    );
    let user = &body["user"];
    assert_eq!(
        keys(user),
        ["created_at", "email", "id", "must_change_password", "phone", "status", "username"]
    );
    assert_eq!(
        (&user["username"], &user["email"], &user["phone"], &user["status"]),
        (&json!("alice"), &json!("alice@example.com"), &json!("+44 20 7946 0000"), &json!("active"))
    );
    assert_eq!(body["user_id"], user["id"]);
    let claims = claims(&answer.text("access_token"));
    assert_eq!(
        keys(&claims),
        ["amr", "aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "nbf", "scope", "sid", "sub"]
    );
    assert_eq!(claims["sub"], user["id"]);
    assert_eq!(
        (&claims["aud"], &claims["client_id"], &claims["scope"]),
        (&claims["iss"], &json!("backend"), &json!("profile"))
    );
    let lifetime = claims["exp"].as_u64().expect("exp") - claims["iat"].as_u64().expect("iat");
    assert_eq!(lifetime, 1800);

    let bare = target.sign_in(&target.ticket(&json!({"user_id": "boss"}))).json();
    assert_eq!(keys(&bare["user"]), ["created_at", "id", "must_change_password", "status", "username"]);
}

pub(super) fn an_audience_joins_the_token(target: Target) {
    let ticket = target.ticket(&json!({"user_id": "alice", "audience": "portal"}));
    let claims = claims(&target.sign_in(&ticket).text("access_token"));
    assert_eq!((&claims["client_id"], &claims["aud"]), (&json!("portal"), &json!([claims["iss"], "portal"])));

    let wrong = target.ticket(&json!({"user_id": "alice", "audience": "portal"}));
    simple(&target.ask(&sign_in(&wrong).basic("backend", BACKEND_SECRET)), 400, 40010);
    simple(&target.sign_in(&wrong), 400, 40010);
}

pub(super) fn a_bound_ticket_wants_its_client(target: Target) {
    let bound = || target.ticket(&json!({"user_id": "alice", "audience": "portal", "bind": true}));
    assert_eq!(target.ask(&sign_in(&bound()).basic("portal", PORTAL_SECRET)).status, 200);
    // Whoever has not proved to be a client spends nothing.
    let ticket = bound();
    let missing = ": credentials are missing, send them by Basic";
    let illegible =
        ": the Basic credentials cannot be read: they are base64 of a client's id, a colon and its secret";
    for (ask, why) in [
        (sign_in(&ticket), missing),
        (sign_in(&ticket).basic("portal", "wrong"), ""),
        (sign_in(&ticket).basic("backend", "wrong"), ""),
        (sign_in(&ticket).basic("nobody", BACKEND_SECRET), ""),
        (sign_in(&ticket).header("Authorization", "Basic !!!"), illegible),
        (sign_in(&ticket).header("Authorization", "Bearer x"), missing),
    ] {
        let answer = target.ask(&ask);
        simple(&answer, 401, 40101);
        assert_eq!(answer.text("message"), format!("client authentication failed{why}"));
        assert!(answer.header("www-authenticate").is_some_and(|told| told.starts_with("Basic realm=")));
    }
    assert_eq!(target.ask(&sign_in(&ticket).basic("portal", PORTAL_SECRET)).status, 200);
    // Another client spends it.
    let ticket = bound();
    simple(&target.ask(&sign_in(&ticket).basic("backend", BACKEND_SECRET)), 400, 40010);
    simple(&target.ask(&sign_in(&ticket).basic("portal", PORTAL_SECRET)), 400, 40010);
}

pub(super) fn another_address(target: Target) {
    let here = target.ticket(&json!({"user_id": "alice", "client_ip": "127.0.0.1"}));
    assert_eq!(target.sign_in(&here).status, 200);
    let mapped = target.ticket(&json!({"user_id": "alice", "client_ip": "::ffff:127.0.0.1"}));
    assert_eq!(target.sign_in(&mapped).status, 200);
    let elsewhere = target.ticket(&json!({"user_id": "alice", "client_ip": "192.0.2.7"}));
    simple(&target.sign_in(&elsewhere), 400, 40010);
    simple(&target.sign_in(&elsewhere), 400, 40010);
}

pub(super) fn impersonation(target: Target) {
    let ticket =
        target.ticket(&json!({"user_id": "alice", "actor": "boss", "reason": "a call to the help desk"}));
    let answer = target.sign_in(&ticket);
    let token = answer.text("access_token");
    let claims = claims(&token);
    assert_eq!(keys(&claims["act"]), ["sub"]);
    assert_ne!(claims["act"]["sub"], claims["sub"]);
    let seen = target.ask(&TestRequest::new("GET", "/userinfo").bearer(&token)).json();
    assert_eq!((&seen["sub"], &seen["userName"]), (&claims["sub"], &json!("alice")));
    let chained = TestRequest::json("/auth/generate-ticket", &json!({"user_id": "boss"})).bearer(&token);
    simple(&target.ask(&chained), 403, 40301);

    let plain = target.service_token("ticket:issue");
    let asked = json!({"user_id": "alice", "actor": "boss", "reason": "r"});
    simple(&target.ask(&TestRequest::json("/auth/generate-ticket", &asked).bearer(&plain)), 403, 40300);
}

pub(super) fn malformed_sign_ins(target: Target) {
    let json = |body: &str| {
        TestRequest::new("POST", "/auth/ticket/signin").header("Content-Type", "application/json").body(body)
    };
    let deep = format!("{{\"ticket\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    for (ask, status, code) in [
        (json(""), 400, 40001),
        (json("{"), 400, 40001),
        (json("null"), 400, 40001),
        (json("[]"), 400, 40001),
        (json("\"tkt\""), 400, 40001),
        (json("{}"), 400, 40001),
        (json(r#"{"ticket":null}"#), 400, 40001),
        (json(r#"{"ticket":["a"]}"#), 400, 40001),
        (json(r#"{"ticket":"a","ticket":"a"}"#), 400, 40001),
        (json(r#"{"x":{"a":1,"a":2},"ticket":"a"}"#), 400, 40001),
        (json("\u{feff}{\"ticket\":\"a\"}"), 400, 40001),
        (json(r#"{"ticket":"a"} x"#), 400, 40001),
        (json(&deep), 400, 40001),
        (json("{\"ticket\":\"a\"}\r\n\t "), 400, 40010),
        (json(r#"{"ticket":""}"#), 400, 40010),
        (json(r#"{"ticket":"tkt_\u0000"}"#), 400, 40010),
        (TestRequest::form("/auth/ticket/signin", "ticket=a"), 415, 41500),
        (TestRequest::new("POST", "/auth/ticket/signin").body(r#"{"ticket":"a"}"#), 415, 41500),
        (json("{}").header("Content-Type", "application/json"), 400, 40002),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{ask:?}");
        uncached(&answer);
    }
    let invalid = TestRequest::new("POST", "/auth/ticket/signin").header("Content-Type", "application/json");
    simple(&target.ask(&invalid.body(b"{\"ticket\":\"\xff\"}".to_vec())), 400, 40001);
}

pub(super) fn a_keyed_redemption_comes_again(target: Target) {
    let key = "uE7pD1xN5gB9hS3fZ8oV2q";
    let ticket = target.ticket(&json!({"user_id": "alice"}));
    let keyed = |key: &str| target.ask(&sign_in(&ticket).header("Idempotency-Key", key));
    simple(&keyed("short"), 400, 40003);
    let (first, second) = (keyed(key), keyed(key));
    assert_eq!((first.status, second.status), (200, 200), "{second:?}");
    uncached(&second);
    assert_eq!(first.text("refresh_token"), second.text("refresh_token"));
    let (before, after) = (claims(&first.text("access_token")), claims(&second.text("access_token")));
    assert_eq!(before["sid"], after["sid"]);
    assert_ne!(before["jti"], after["jti"]);
    simple(&keyed("kT6rC0wY4jM8aF2iU5lG9e"), 400, 40010);
    simple(&target.sign_in(&ticket), 400, 40010);
}
