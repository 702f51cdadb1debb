//! Introspection and revocation.

use serde_json::json;

use super::{Target, claims, introspect, refresh, revoke, simple, uncached};
use crate::fixtures::{BACKEND_SECRET, PORTAL_SECRET};
use crate::http::TestRequest;

pub(super) fn introspection(target: Target) {
    let person = target.signed_in(&json!({"user_id": "alice", "audience": "portal"}));
    let token = person.text("access_token");
    let (seen, claims) = (target.ask(&introspect(&token)), claims(&token));
    uncached(&seen);
    let seen = seen.json();
    for same in ["sub", "client_id", "scope", "exp", "iat", "aud", "iss", "jti", "sid"] {
        assert_eq!(seen[same], claims[same], "{same}");
    }
    assert_eq!(
        (&seen["active"], &seen["username"], &seen["token_type"]),
        (&json!(true), &json!("alice"), &json!("Bearer"))
    );
    let service = target.service_token("profile");
    let seen = target.ask(&introspect(&service)).json();
    assert_eq!(
        (&seen["active"], &seen["sub"], seen.get("username")),
        (&json!(true), &json!("backend"), None)
    );

    let mine = target.ask(&introspect(&person.text("refresh_token"))).json();
    assert_eq!((&mine["active"], &mine["sub"]), (&json!(true), &claims["sub"]));
    let others = TestRequest::form("/oauth2/introspect", &format!("token={}", person.text("refresh_token")));
    assert_eq!(target.ask(&others.basic("backend", BACKEND_SECRET)).json(), json!({"active": false}));

    for token in
        ["x", "a.b.c", "rft_x", &format!("{token}x"), "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert!(!target.is_active(token), "{token}");
    }
    for (ask, status, error) in [
        (TestRequest::form("/oauth2/introspect", "token=x"), 401, "invalid_client"),
        (
            TestRequest::form("/oauth2/introspect", "token=x").basic("closed", BACKEND_SECRET),
            401,
            "invalid_client",
        ),
        (TestRequest::form("/oauth2/introspect", "token=x").bearer(&service), 401, "invalid_client"),
        (TestRequest::form("/oauth2/introspect", "").basic("portal", PORTAL_SECRET), 400, "invalid_request"),
        (
            TestRequest::form("/oauth2/introspect", "token=x&token=y").basic("portal", PORTAL_SECRET),
            400,
            "invalid_request",
        ),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, answer.text("error").as_str()), (status, error), "{ask:?}");
    }
}

pub(super) fn revocation(target: Target) {
    let backend = |token: &str| revoke(token, "backend", BACKEND_SECRET);
    let service = target.service_token("profile");
    let other = target.service_token("profile");
    assert_eq!(target.ask(&revoke(&service, "portal", PORTAL_SECRET)).status, 200);
    assert!(target.is_active(&service), "another client's token is left alone");
    let answer = target.ask(&backend(&service));
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    uncached(&answer);
    assert!(!target.is_active(&service));
    assert_eq!(target.userinfo_status(&service), 401);
    assert!(target.is_active(&other), "one token is revoked, and not its client's others");
    assert_eq!(target.ask(&backend(&service)).status, 200);

    let person = target.signed_in(&json!({"user_id": "alice"}));
    assert_eq!(target.ask(&revoke(&person.text("refresh_token"), "portal", PORTAL_SECRET)).status, 200);
    assert_eq!(target.userinfo_status(&person.text("access_token")), 200);
    assert_eq!(target.ask(&backend(&person.text("refresh_token"))).status, 200);
    assert_eq!(target.userinfo_status(&person.text("access_token")), 401);
    simple(&target.ask(&refresh(&person.text("refresh_token"))), 400, 40020);

    for token in ["x", "rft_x", "a.b.c"] {
        assert_eq!(target.ask(&backend(token)).status, 200);
    }
    let wrong = target.ask(&revoke(&other, "backend", "wrong"));
    assert_eq!((wrong.status, wrong.text("error").as_str()), (401, "invalid_client"));
    assert!(target.is_active(&other));
}
