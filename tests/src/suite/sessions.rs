//! A user's own sessions.

use serde_json::{Value, json};

use super::{Target, claims, keys, refresh, simple, uncached};
use crate::http::{Answer, TestRequest};

pub(super) fn own_sessions(target: Target) {
    let path = "/auth/me/sessions";
    let (one, two) =
        (target.signed_in(&json!({"user_id": "boss"})), target.signed_in(&json!({"user_id": "boss"})));
    let token = one.text("access_token");
    let sid = |answer: &Answer| claims(&answer.text("access_token"))["sid"].as_str().expect("sid").to_owned();
    let listed = target.ask(&TestRequest::new("GET", path).bearer(&token));
    assert_eq!(listed.status, 200, "{listed:?}");
    uncached(&listed);
    assert_eq!(keys(&listed.json()), ["code", "data", "message", "timestamp"]);
    let entries = listed.json()["data"].as_array().expect("sessions").clone();
    assert_eq!(keys(&entries[0]), ["client_id", "created_at", "current", "expires_at", "id", "scope"]);
    let current: Vec<&Value> = entries.iter().filter(|e| e["current"] == json!(true)).collect();
    assert_eq!((current.len(), &current[0]["id"]), (1, &json!(sid(&one))));
    assert!(entries.iter().any(|e| e["id"] == json!(sid(&two))));

    let alice = target.signed_in(&json!({"user_id": "alice"}));
    let end = |id: &str| TestRequest::new("DELETE", &format!("{path}/{id}")).bearer(&token);
    simple(&target.ask(&end(&sid(&alice))), 404, 40401);
    simple(&target.ask(&end("nothing")), 404, 40401);
    assert_eq!(target.userinfo_status(&alice.text("access_token")), 200);
    simple(&target.ask(&end(&sid(&two))), 200, 0);
    assert_eq!(target.userinfo_status(&two.text("access_token")), 401);
    simple(&target.ask(&refresh(&two.text("refresh_token"))), 400, 40020);
    simple(&target.ask(&end(&sid(&two))), 404, 40401);
    assert_eq!(target.userinfo_status(&token), 200);

    simple(&target.ask(&TestRequest::new("DELETE", path).bearer(&token)), 200, 0);
    assert_eq!(target.userinfo_status(&token), 401);
    simple(&target.ask(&refresh(&one.text("refresh_token"))), 400, 40020);
    simple(&target.ask(&TestRequest::new("GET", path).bearer(&token)), 401, 40100);
    simple(&target.ask(&TestRequest::new("GET", path)), 401, 40100);
    let service = target.service_token("profile");
    simple(&target.ask(&TestRequest::new("GET", path).bearer(&service)), 403, 40300);
}
