//! The userinfo endpoint.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Target, claims, keys, uncached};
use crate::fixtures::PORTAL_SECRET;
use crate::http::TestRequest;

pub(super) fn userinfo(target: Target) {
    let token = target.sign_in(&target.ticket(&json!({"user_id": "alice"}))).text("access_token");
    for ask in [
        TestRequest::new("GET", "/userinfo").bearer(&token),
        TestRequest::new("POST", "/userinfo").bearer(&token),
        TestRequest::new("GET", "/userinfo").header("Authorization", &format!("bearer {token}")),
        TestRequest::form("/userinfo", &format!("access_token={token}")),
    ] {
        let answer = target.ask(&ask);
        assert_eq!(answer.status, 200, "{answer:?}");
        uncached(&answer);
        let body = answer.json();
        assert_eq!(
            keys(&body),
            [
                "address",
                "email",
                "gender",
                "name",
                "phoneNumber",
                "preferred_username",
                "sub",
                "updated_at",
                "userName"
            ]
        );
        assert_eq!(body["sub"], claims(&token)["sub"]);
        assert_eq!(
            (
                &body["userName"],
                &body["name"],
                &body["phoneNumber"],
                &body["email"],
                &body["gender"],
                &body["address"]
            ),
            (
                &json!("alice"),
                &json!("Alice Liddell"),
                &json!("+44 20 7946 0000"),
                &json!("alice@example.com"),
                &json!("female"),
                &json!({"locality": "Oxford"})
            )
        );
    }
    let head = target.ask(&TestRequest::new("HEAD", "/userinfo").bearer(&token));
    assert_eq!((head.status, head.body.len()), (200, 0));

    let scoped = target.ticket(&json!({"user_id": "alice", "scope": "email phone"}));
    let scoped = target.sign_in(&scoped).text("access_token");
    let body = target.ask(&TestRequest::new("GET", "/userinfo").bearer(&scoped)).json();
    assert_eq!(body["phone_number"], json!("+44 20 7946 0000"));
    assert_eq!(body.get("preferred_username"), None);

    let service =
        target.ask(&TestRequest::new("GET", "/userinfo").bearer(&target.service_token("ticket:issue")));
    let nothing = Value::Null;
    assert_eq!(
        service.json(),
        json!({"sub": "backend", "userName": "backend", "name": "The back office", "phoneNumber": nothing,
               "email": nothing, "gender": nothing, "address": nothing})
    );
}

pub(super) fn userinfo_errors(target: Target) {
    let token = target.service_token("ticket:issue");
    let (head, signature) = token.rsplit_once('.').expect("a signature");
    let payload = URL_SAFE_NO_PAD.encode(claims(&token).to_string());
    let none = format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#));
    let get = || TestRequest::new("GET", "/userinfo");
    for (ask, status, error) in [
        (get(), 401, None),
        (get().basic("portal", PORTAL_SECRET), 401, None),
        (get().bearer("abc"), 401, Some("invalid_token")),
        (get().header("Authorization", "Bearer"), 401, Some("invalid_token")),
        (get().bearer(&none), 401, Some("invalid_token")),
        (get().bearer(&format!("{head}.")), 401, Some("invalid_token")),
        (
            get().bearer(&format!("{head}.{}", signature.chars().rev().collect::<String>())),
            401,
            Some("invalid_token"),
        ),
        (get().bearer(&format!("{token}=")), 401, Some("invalid_token")),
        (get().bearer(&token).bearer(&token), 400, Some("invalid_request")),
        (
            TestRequest::form("/userinfo", &format!("access_token={token}")).bearer(&token),
            400,
            Some("invalid_request"),
        ),
        (TestRequest::new("GET", &format!("/userinfo?access_token={token}")), 401, None),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, error), "{ask:?}: {answer:?}");
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
        assert_eq!(error.is_some(), challenge.contains("error="), "{challenge}");
        uncached(&answer);
    }
}
