//! Issuing tickets: who may, and for whom.

use serde_json::{Value, json};

use super::{Target, keys, simple, uncached};
use crate::fixtures::{BACKEND_SECRET, PORTAL_SECRET};
use crate::http::TestRequest;

pub(super) fn what_cannot_be_issued(target: Target) {
    let long = "x".repeat(501);
    for (body, code) in [
        (json!({}), 40001),
        (json!({"user_id": 7}), 40001),
        (json!({"user_id": null}), 40001),
        (json!({"user_id": "alice", "username": "alice"}), 40001),
        (json!({"user_id": "nobody"}), 40011),
        (json!({"user_id": "gone"}), 40011),
        (json!({"user_id": "alice", "ttl": 0}), 40012),
        (json!({"user_id": "alice", "ttl": 3601}), 40012),
        (json!({"user_id": "alice", "ttl": -1}), 40012),
        (json!({"user_id": "alice", "ttl": 1.5}), 40012),
        (json!({"user_id": "alice", "ttl": "300"}), 40012),
        (json!({"user_id": "alice", "audience": "nobody"}), 40013),
        (json!({"user_id": "alice", "audience": "closed"}), 40013),
        (json!({"user_id": "alice", "audience": "a b"}), 40013),
        (json!({"user_id": "alice", "audience": ["portal"]}), 40001),
        (json!({"user_id": "alice", "bind": "yes"}), 40001),
        (json!({"user_id": "alice", "scope": "orders:write"}), 40014),
        (json!({"user_id": "alice", "scope": "ticket:issue"}), 40014),
        (json!({"user_id": "alice", "scope": "profile  email"}), 40014),
        (json!({"user_id": "alice", "client_ip": "localhost"}), 40016),
        (json!({"user_id": "alice", "actor": "nobody", "reason": "r"}), 40017),
        (json!({"user_id": "alice", "actor": "gone", "reason": "r"}), 40017),
        (json!({"user_id": "alice", "actor": "alice", "reason": "r"}), 40017),
        (json!({"user_id": "alice", "actor": "boss"}), 40018),
        (json!({"user_id": "alice", "actor": "boss", "reason": ""}), 40018),
        (json!({"user_id": "alice", "actor": "boss", "reason": long}), 40018),
        (json!({"user_id": "alice", "actor": "boss", "reason": "a\nb"}), 40018),
        (json!({"user_id": "alice", "reason": "r"}), 40018),
        (json!({"user_id": "alice", "tenant_id": "elsewhere"}), 40019),
    ] {
        let answer = target.generate(&body);
        assert_eq!(answer.json()["code"], json!(code), "{body}: {answer:?}");
        simple(&answer, 400, code);
        uncached(&answer);
    }
    let answer = target.generate(&json!({"username": "alice", "ttl": 3600, "unknown": [1, {"x": null}]}));
    assert_eq!((answer.status, keys(&answer.json())), (200, vec!["expires_in", "ticket"]));
    assert_eq!(answer.json()["expires_in"], json!(3600));
}

pub(super) fn who_may_not_issue(target: Target) {
    let body = json!({"user_id": "alice"});
    let person = target.sign_in(&target.ticket(&body)).text("access_token");
    let portal = target
        .ask(
            &TestRequest::form("/oauth2/token", "grant_type=client_credentials")
                .basic("portal", PORTAL_SECRET),
        )
        .text("access_token");
    let ask = |body: &Value| TestRequest::json("/auth/generate-ticket", body);
    simple(&target.ask(&ask(&body)), 401, 40100);
    simple(&target.ask(&ask(&body).bearer("x.y.z")), 401, 40100);
    simple(&target.ask(&ask(&body).basic("backend", BACKEND_SECRET)), 401, 40100);
    simple(&target.ask(&ask(&json!([])).bearer("x.y.z")), 401, 40100);
    simple(&target.ask(&ask(&body).bearer(&person)), 403, 40300);
    simple(&target.ask(&ask(&body).bearer(&portal)), 403, 40300);
}
