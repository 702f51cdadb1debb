//! Clients that stand between a person and the server.

use serde_json::{Value, json};

use super::{Target, claims, refresh, simple, uncached};
use crate::fixtures::{BACKEND_SECRET, PAM_PASSWORD, PORTAL_SECRET};
use crate::http::TestRequest;

const UNKNOWN_CHALLENGE: &str = "chg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn with(mut body: Value, member: &str, value: &Value) -> Value {
    body[member] = value.clone();
    body
}

fn login() -> Value {
    json!({"identity": "pam", "password": PAM_PASSWORD})
}

fn log_in(body: &Value) -> TestRequest {
    TestRequest::json("/auth/login", body)
}

pub(super) fn a_login_for_a_client(target: Target) {
    let answer = target.ask(&log_in(&login()).basic("portal", PORTAL_SECRET));
    assert_eq!(answer.status, 200, "{answer:?}");
    uncached(&answer);
    let told = claims(&answer.text("access_token"));
    assert_eq!((&told["client_id"], &told["aud"]), (&json!("portal"), &json!([told["iss"], "portal"])));
    assert_eq!((&told["amr"], &told["scope"]), (&json!(["pwd"]), &json!("profile")));
    assert!(target.is_active(&answer.text("access_token")));
    // The session is bound to the client.
    let token = answer.text("refresh_token");
    simple(&target.ask(&refresh(&token)), 400, 40020);
    simple(&target.ask(&refresh(&token).basic("backend", BACKEND_SECRET)), 400, 40020);
    let answer = target.ask(&refresh(&token).basic("portal", PORTAL_SECRET));
    assert_eq!(claims(&answer.text("access_token"))["aud"], told["aud"]);
}

pub(super) fn who_is_no_client_at_a_login(target: Target) {
    for (ask, what) in [
        (log_in(&login()).basic("portal", "wrong"), "a wrong secret"),
        (log_in(&login()).basic("portal", ""), "no secret"),
        (log_in(&login()).basic("nobody", PORTAL_SECRET), "an unknown client"),
        (log_in(&login()).basic("closed", BACKEND_SECRET), "a disabled client"),
        (log_in(&login()).header("Authorization", "Basic !!!"), "an illegible header"),
        (log_in(&with(login(), "identity", &json!("nobody"))).basic("portal", "wrong"), "an unknown user"),
        (log_in(&with(login(), "password", &json!("wrong"))).basic("portal", "wrong"), "a wrong password"),
    ] {
        let answer = target.ask(&ask);
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        simple(&answer, 401, 40101);
        uncached(&answer);
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Basic realm="), "{challenge}");
    }
    // Another scheme is no claim to be a client.
    let answer = target.ask(&log_in(&login()).bearer("x.y.z"));
    assert_eq!(claims(&answer.text("access_token"))["client_id"], json!("gatepass"));
}

/// The three members are taken from a client with `trusted_context`, which the portal has, and from nobody else.
pub(super) fn whose_word_is_taken(target: Target) {
    let members =
        [("client_ip", json!("192.0.2.7")), ("user_agent", json!("Mozilla/5.0")), ("device_id", json!("d"))];
    let ticket = target.ticket(&json!({"user_id": "alice"}));
    let presented = [
        ("/auth/ticket/signin", json!({ "ticket": ticket })),
        ("/auth/login", login()),
        ("/auth/mfa/verify-challenge", json!({"challenge_token": UNKNOWN_CHALLENGE, "code": "123456"})),
    ];
    for (path, body) in &presented {
        for (member, value) in &members {
            let stated = TestRequest::json(path, &with(body.clone(), member, value));
            simple(&target.ask(&stated), 403, 40304);
            simple(
                &target.ask(&TestRequest::json(path, &with(body.clone(), member, value)).bearer("x")),
                403,
                40304,
            );
        }
        for (member, wrong, code) in [
            ("client_ip", json!("192.0.2.300"), 40016),
            ("client_ip", json!("192.0.2.7:443"), 40016),
            ("client_ip", json!(7), 40001),
            ("user_agent", json!("a\nb"), 40006),
            ("user_agent", json!(["a"]), 40001),
            ("device_id", json!("é"), 40007),
            ("device_id", json!("d".repeat(257)), 40007),
        ] {
            let stated = TestRequest::json(path, &with(body.clone(), member, &wrong));
            simple(&target.ask(&stated.basic("portal", PORTAL_SECRET)), 400, code);
        }
    }
    for (path, body) in &presented[..2] {
        for (member, value) in &members {
            let stated = || TestRequest::json(path, &with(body.clone(), member, value));
            simple(&target.ask(&stated().basic("backend", BACKEND_SECRET)), 403, 40304);
            simple(&target.ask(&stated().basic("portal", "wrong")), 401, 40101);
            simple(&target.ask(&stated().header("Authorization", "Basic !!!")), 401, 40101);
        }
    }
    // Nothing of that has spent the ticket.
    let all = members
        .into_iter()
        .fold(json!({ "ticket": ticket }), |body, (member, value)| with(body, member, &value));
    let answer = target.ask(&TestRequest::json("/auth/ticket/signin", &all).basic("portal", PORTAL_SECRET));
    assert_eq!(answer.status, 200, "{answer:?}");
}

pub(super) fn a_ticket_for_the_address_of_a_person(target: Target) {
    let redeem = |stated: &str| {
        let ticket = target.ticket(&json!({"user_id": "alice", "client_ip": "192.0.2.7"}));
        let body = json!({"ticket": ticket, "client_ip": stated});
        target.ask(&TestRequest::json("/auth/ticket/signin", &body).basic("portal", PORTAL_SECRET))
    };
    assert_eq!(redeem("192.0.2.7").status, 200);
    assert_eq!(redeem("::ffff:192.0.2.7").status, 200);
    simple(&redeem("127.0.0.1"), 400, 40010);
    // What the portal does not state is as the connection shows it.
    let here = target.ticket(&json!({"user_id": "alice", "client_ip": "127.0.0.1"}));
    let body = json!({"ticket": here, "device_id": "telephone"});
    let answer = target.ask(&TestRequest::json("/auth/ticket/signin", &body).basic("portal", PORTAL_SECRET));
    assert_eq!(answer.status, 200, "{answer:?}");
}
