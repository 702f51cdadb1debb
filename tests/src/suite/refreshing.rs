//! Refreshing a session: each refresh token works once.

use std::thread;

use serde_json::json;

use super::{Target, claims, introspect, keys, refresh, sign_in, simple, uncached};
use crate::fixtures::{self, BACKEND_SECRET, PORTAL_SECRET};
use crate::http::{Answer, TestRequest};

pub(super) fn a_session_refreshes(target: Target) {
    let first = target.signed_in(&json!({"user_id": "alice", "scope": "profile email"}));
    let second = target.ask(&refresh(&first.text("refresh_token")));
    assert_eq!(second.status, 200, "{second:?}");
    uncached(&second);
    // Only the first answer says how a sign-in was judged.
    let (mut told, judged) = (first.json(), ["risk_assessment", "risk_level"]);
    judged.iter().for_each(|key| drop(told.as_object_mut().expect("an object").remove(*key)));
    assert_eq!(keys(&second.json()), keys(&told));
    assert_ne!(second.text("refresh_token"), first.text("refresh_token"));
    let (before, after) = (claims(&first.text("access_token")), claims(&second.text("access_token")));
    for same in ["sub", "sid", "client_id", "scope", "auth_time", "amr", "aud", "iss"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_ne!(before["jti"], after["jti"]);
    assert_eq!(target.userinfo_status(&second.text("access_token")), 200);

    let form = |token: &str, scope: &str| {
        TestRequest::form("/oauth2/token", &format!("grant_type=refresh_token&refresh_token={token}{scope}"))
            .basic("backend", BACKEND_SECRET)
    };
    let narrowed = target.ask(&form(&second.text("refresh_token"), "&scope=email"));
    assert_eq!((narrowed.status, narrowed.text("scope").as_str()), (200, "email"), "{narrowed:?}");
    assert_eq!(
        keys(&narrowed.json()),
        ["access_token", "expires_in", "refresh_token", "scope", "token_type"]
    );
    let wide = target.ask(&form(&narrowed.text("refresh_token"), ""));
    assert_eq!(wide.text("scope"), "profile email");
    let wider = target.ask(&form(&wide.text("refresh_token"), "&scope=profile+phone"));
    assert_eq!((wider.status, wider.text("error").as_str()), (400, "invalid_scope"));
    assert_eq!(
        target.ask(&refresh(&wide.text("refresh_token"))).status,
        200,
        "a refusal of scope uses nothing"
    );
}

pub(super) fn a_used_refresh_token_ends_its_family(target: Target) {
    let first = target.signed_in(&json!({"user_id": "alice"}));
    let second = target.ask(&refresh(&first.text("refresh_token")));
    let third = target.ask(&refresh(&second.text("refresh_token")));
    assert_eq!(target.userinfo_status(&third.text("access_token")), 200);
    // The successor of the first one has been used: this is no lost answer.
    simple(&target.ask(&refresh(&first.text("refresh_token"))), 400, 40020);
    for answer in [&first, &second, &third] {
        assert_eq!(target.userinfo_status(&answer.text("access_token")), 401);
        assert!(!target.is_active(&answer.text("access_token")));
    }
    simple(&target.ask(&refresh(&third.text("refresh_token"))), 400, 40020);
}

pub(super) fn a_lost_answer_comes_again(target: Target) {
    let token = target.signed_in(&json!({"user_id": "alice"})).text("refresh_token");
    let first = target.ask(&refresh(&token));
    let again = target.ask(&refresh(&token));
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.text("refresh_token"), again.text("refresh_token"));
    assert_ne!(first.text("access_token"), again.text("access_token"));
    let token = again.text("refresh_token");
    let racers: Vec<_> = (0..16)
        .map(|_| {
            let token = token.clone();
            thread::spawn(move || target.ask(&refresh(&token)))
        })
        .collect();
    let answers: Vec<Answer> = racers.into_iter().map(|r| r.join().expect("a racer")).collect();
    let mut successors: Vec<String> =
        answers.iter().filter(|a| a.status == 200).map(|a| a.text("refresh_token")).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1, "{answers:?}");
}

pub(super) fn what_a_refresh_is_refused_for(target: Target) {
    let access = target.signed_in(&json!({"user_id": "alice"})).text("access_token");
    let live = target.signed_in(&json!({"user_id": "alice"})).text("refresh_token");
    let unknown = fixtures::UNKNOWN_REFRESH_TOKEN;
    for token in [unknown, "rft_", "", "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &access] {
        simple(&target.ask(&refresh(token)), 400, 40020);
    }
    simple(&target.ask(&TestRequest::json("/auth/refresh", &json!({}))), 400, 40001);
    let grant = |body: &str| TestRequest::form("/oauth2/token", &format!("grant_type=refresh_token{body}"));
    let mine = format!("&refresh_token={live}");
    for (ask, status, error) in [
        (grant(&mine), 401, "invalid_client"),
        (grant(&mine).basic("backend", "wrong"), 401, "invalid_client"),
        (grant("").basic("backend", BACKEND_SECRET), 400, "invalid_request"),
        (grant(&mine).basic("portal", PORTAL_SECRET), 400, "invalid_grant"),
        (grant(&format!("&refresh_token={unknown}")).basic("backend", BACKEND_SECRET), 400, "invalid_grant"),
        (grant("&refresh_token=x").basic("backend", BACKEND_SECRET), 400, "invalid_grant"),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, answer.text("error").as_str()), (status, error), "{ask:?}");
    }
    assert_eq!(
        target.ask(&grant(&mine).basic("backend", BACKEND_SECRET)).status,
        200,
        "nothing of it used the token"
    );
}

pub(super) fn a_bound_session_wants_its_client(target: Target) {
    let ticket = target.ticket(&json!({"user_id": "alice", "audience": "portal", "bind": true}));
    let token = target.ask(&sign_in(&ticket).basic("portal", PORTAL_SECRET)).text("refresh_token");
    simple(&target.ask(&refresh(&token)), 400, 40020);
    simple(&target.ask(&refresh(&token).basic("portal", "wrong")), 400, 40020);
    simple(&target.ask(&refresh(&token).basic("backend", BACKEND_SECRET)), 400, 40020);
    simple(&target.ask(&refresh(&token).header("Authorization", "Basic !!!")), 400, 40020);
    let answer = target.ask(&refresh(&token).basic("portal", PORTAL_SECRET));
    assert_eq!(claims(&answer.text("access_token"))["client_id"], json!("portal"));
}

pub(super) fn an_impersonation_keeps_its_actor(target: Target) {
    let first = target.signed_in(&json!({"user_id": "alice", "actor": "boss", "reason": "help desk"}));
    let second = target.ask(&refresh(&first.text("refresh_token")));
    let (before, after) = (claims(&first.text("access_token")), claims(&second.text("access_token")));
    assert_eq!(before["act"], after["act"]);
    let cap = before["auth_time"].as_u64().expect("a time") + 1800;
    assert!(after["exp"].as_u64().expect("a time") <= cap);
    let token = second.text("access_token");
    let seen = target.ask(&introspect(&token)).json();
    assert_eq!((&seen["act"], &seen["sub"]), (&after["act"], &after["sub"]));
    simple(&target.ask(&TestRequest::new("DELETE", "/auth/me/sessions").bearer(&token)), 403, 40301);
}
