//! Passwords: signing in by one, and changing it.

use serde_json::{Value, json};

use super::{Target, claims as claims_of, keys, simple, uncached};
use crate::fixtures::{KIM_PASSWORD, PAM_PASSWORD};
use crate::http::{Answer, TestRequest};

fn login(identity: &str, password: &str) -> TestRequest {
    TestRequest::json("/auth/login", &json!({"identity": identity, "password": password}))
}

fn change(token: &str, old: &str, new: &str) -> TestRequest {
    let body = json!({"old_password": old, "new_password": new}).to_string();
    let ask = TestRequest::new("PUT", "/auth/me/password").header("Content-Type", "application/json");
    ask.body(body).bearer(token)
}

pub(super) fn a_password_signs_in(target: Target) {
    for identity in [
        "pam",
        " pam\n",
        "PAM@example.com",
        "+44 20 7946 0001",
        "0044 (20) 7946-0001",
        "\u{ff0b}\u{ff14}\u{ff14}2079460001",
    ] {
        let answer = target.ask(&login(identity, PAM_PASSWORD));
        assert_eq!(answer.status, 200, "{identity}: {answer:?}");
        uncached(&answer);
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
        assert_eq!(keys(&body["risk_assessment"]), ["level", "require_mfa", "score"]);
        let claims = claims_of(&answer.text("access_token"));
        assert_eq!((&claims["amr"], &claims["client_id"]), (&json!(["pwd"]), &json!("gatepass")));
        assert_eq!((&claims["scope"], &claims["aud"]), (&json!("profile"), &claims["iss"]));
        assert_eq!(target.userinfo_status(&answer.text("access_token")), 200);
        assert_eq!(target.ask(&super::refresh(&answer.text("refresh_token"))).status, 200);
    }
}

pub(super) fn what_a_login_is_refused_for(target: Target) {
    let message = |answer: &Answer| (answer.status, answer.json()["code"].clone(), answer.text("message"));
    let wrong = target.ask(&login("pam", "incorrect horse battery"));
    simple(&wrong, 400, 40040);
    uncached(&wrong);
    // The answer is the same for no such account, no password and a disabled user.
    for (identity, password) in [
        ("nobody", PAM_PASSWORD),
        ("alice", PAM_PASSWORD),
        ("gone", ""),
        ("", ""),
        ("usr_pam", PAM_PASSWORD),
        ("PAM", PAM_PASSWORD),
        ("p\u{200b}am", PAM_PASSWORD),
        ("2079460001", PAM_PASSWORD),
    ] {
        assert_eq!(message(&target.ask(&login(identity, password))), message(&wrong), "{identity}");
    }
    assert_eq!(target.ask(&login("pam", PAM_PASSWORD)).status, 200);
    for body in [
        json!({"identity": "pam"}),
        json!({"password": PAM_PASSWORD}),
        json!({"identity": "pam", "password": null}),
        json!({"identity": ["pam"], "password": PAM_PASSWORD}),
    ] {
        simple(&target.ask(&TestRequest::json("/auth/login", &body)), 400, 40001);
    }
    let twice = login("pam", PAM_PASSWORD).header("X-Device-Id", "a").header("X-Device-Id", "b");
    simple(&target.ask(&twice), 400, 40002);
    let long = login("pam", PAM_PASSWORD).header("X-Device-Id", &"a".repeat(257));
    simple(&target.ask(&long), 400, 40002);
    assert_eq!(target.ask(&TestRequest::new("GET", "/auth/login")).header("allow"), Some("POST"));
    assert_eq!(target.ask(&TestRequest::new("POST", "/auth/me/password")).header("allow"), Some("PUT"));
}

/// A user who has to change their password can do only that.
pub(super) fn a_password_that_has_to_be_changed(target: Target) {
    let answer = target.ask(&login("kim", KIM_PASSWORD));
    let body = answer.json();
    assert_eq!((answer.status, &body["must_change_password"]), (200, &json!(true)), "{answer:?}");
    assert_eq!((&body["user"], &body["refresh_token"]), (&Value::Null, &Value::Null), "no sign-in yet");
    let token = answer.text("access_token");
    assert_eq!(claims_of(&token)["scope"], json!("gatepass:change-password"));
    let userinfo = target.ask(&TestRequest::new("GET", "/userinfo").bearer(&token));
    assert_eq!((userinfo.status, userinfo.text("error")), (401, "invalid_token".into()));
    assert!(!target.is_active(&token));
    for (method, path, body) in [
        ("GET", "/auth/me/sessions", ""),
        ("DELETE", "/auth/me/sessions", ""),
        ("POST", "/mfa/totp/setup", "{}"),
        ("GET", "/mfa/totp/devices", ""),
        ("POST", "/auth/generate-ticket", r#"{"user_id":"kim"}"#),
    ] {
        let ask = TestRequest::new(method, path).header("Content-Type", "application/json").body(body);
        simple(&target.ask(&ask.bearer(&token)), 403, 40303);
    }
    for (old, new, code) in [
        ("nothing of theirs", "correct horse", 40041),
        (KIM_PASSWORD, "seven77", 40042),
        (KIM_PASSWORD, &"long".repeat(257), 40043),
        (KIM_PASSWORD, "Password", 40044),
        (KIM_PASSWORD, KIM_PASSWORD, 40046),
    ] {
        simple(&target.ask(&change(&token, old, new)), 400, code);
    }
    let changed = target.ask(&change(&token, KIM_PASSWORD, "correct horse"));
    simple(&changed, 200, 0);
    uncached(&changed);
    // Every session has ended, including this one.
    simple(&target.ask(&change(&token, "correct horse", "correct mule")), 401, 40100);
    simple(&target.ask(&login("kim", KIM_PASSWORD)), 400, 40040);
    let whole = target.ask(&login("kim", "correct horse"));
    assert_eq!(whole.json()["must_change_password"], json!(false));
    let (access, refresh) = (whole.text("access_token"), whole.text("refresh_token"));
    assert_eq!(target.userinfo_status(&access), 200);
    simple(&target.ask(&change(&access, "correct horse", KIM_PASSWORD)), 200, 0);
    assert_eq!(target.userinfo_status(&access), 401);
    simple(&target.ask(&super::refresh(&refresh)), 400, 40020);
}

/// It is the same password from every keyboard, however that composes its letters.
pub(super) fn a_password_in_each_normal_form(target: Target) {
    let (composed, decomposed) = ("caf\u{e9} cr\u{e8}me", "cafe\u{301} cre\u{300}me");
    for (new, other) in [(decomposed, composed), (composed, decomposed)] {
        let token = target.ask(&login("pam", PAM_PASSWORD)).text("access_token");
        simple(&target.ask(&change(&token, PAM_PASSWORD, new)), 200, 0);
        for typed in [new, other] {
            assert_eq!(target.ask(&login("pam", typed)).status, 200, "{typed:?}");
        }
        simple(&target.ask(&login("pam", "cafe creme")), 400, 40040);
        let token = target.ask(&login("pam", new)).text("access_token");
        simple(&target.ask(&change(&token, new, other)), 400, 40046);
        simple(&target.ask(&change(&token, other, PAM_PASSWORD)), 200, 0);
    }
}

pub(super) fn who_may_not_change_a_password(target: Target) {
    let service = target.service_token("profile");
    simple(&target.ask(&change("x.y.z", "a", "b")), 401, 40100);
    simple(&target.ask(&change(&service, "a", "b")), 403, 40300);
    let acting = json!({"user_id": "pam", "actor": "boss", "reason": "a call"});
    let acted = target.signed_in(&acting).text("access_token");
    simple(&target.ask(&change(&acted, PAM_PASSWORD, "correct horse")), 403, 40301);
    let alice = target.signed_in(&json!({"user_id": "alice"})).text("access_token");
    simple(&target.ask(&change(&alice, "", "correct horse")), 400, 40047);
    let malformed = change(&alice, "", "").body(r#"{"old_password": "x"}"#);
    simple(&target.ask(&malformed), 400, 40001);
}
