//! A service's own tokens.

use serde_json::json;

use super::{Target, claims, keys, uncached};
use crate::fixtures::{BACKEND_SECRET, PORTAL_SECRET};
use crate::http::TestRequest;

pub(super) fn client_credentials(target: Target) {
    let with_basic = target.ask(
        &TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=orders%3Aread")
            .basic("portal", PORTAL_SECRET),
    );
    let secret = PORTAL_SECRET.replace('+', "%2B").replace('/', "%2F");
    let posted =
        format!("grant_type=client_credentials&client_id=portal&client_secret={secret}&scope=orders:read");
    let with_post = target.ask(&TestRequest::form("/oauth2/token", &posted));
    let charset = target.ask(
        &TestRequest::new("POST", "/oauth2/token")
            .header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
            .body(posted.clone()),
    );
    for answer in [&with_basic, &with_post, &charset] {
        assert_eq!(answer.status, 200, "{answer:?}");
        uncached(answer);
        let body = answer.json();
        assert_eq!(keys(&body), ["access_token", "expires_in", "scope", "token_type"]);
        assert_eq!(
            (&body["token_type"], &body["scope"], &body["expires_in"]),
            (&json!("Bearer"), &json!("orders:read"), &json!(3600))
        );
        let claims = claims(&answer.text("access_token"));
        // A client that was added before there were epochs has none.
        let mut named = keys(&claims);
        named.retain(|claim| *claim != "client_epoch");
        assert_eq!(named, ["aud", "client_id", "exp", "iat", "iss", "jti", "nbf", "scope", "sub"]);
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("portal"), &json!("portal")));
        assert_eq!(claims["aud"], json!([claims["iss"], "https://orders.example"]));
    }
    let default = target.ask(
        &TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=")
            .basic("portal", PORTAL_SECRET),
    );
    assert_eq!((default.status, default.text("scope").as_str()), (200, "orders:read"));
}

/// RFC 8707: the issuer is always in `aud`, and a resource chooses among the others.
pub(super) fn resources(target: Target) {
    let (basic, orders) = (("portal", PORTAL_SECRET), "https://orders.example");
    let asks = |form: &str| target.ask(&TestRequest::form("/oauth2/token", form).basic(basic.0, basic.1));
    let good = "grant_type=client_credentials&scope=orders:read";
    let issuer = claims(&asks(good).text("access_token"))["iss"].as_str().expect("an issuer").to_owned();
    let both = json!([issuer, orders]);
    for (resources, aud) in [
        (vec![], Some(&both)),
        (vec![""], Some(&both)),
        (vec![orders], Some(&both)),
        (vec![orders, &issuer, orders], Some(&both)),
        (vec![&*issuer], Some(&json!(issuer))),
        (vec!["https://other.example"], None),
        (vec![orders, "https://other.example"], None),
        (vec!["https://orders.example/"], None),
        (vec!["portal"], None),
    ] {
        let form: String = resources.iter().map(|resource| format!("&resource={resource}")).collect();
        let answer = asks(&format!("{good}{form}"));
        match aud {
            Some(aud) => assert_eq!(claims(&answer.text("access_token"))["aud"], *aud, "{resources:?}"),
            None => assert_eq!((answer.status, answer.text("error").as_str()), (400, "invalid_target")),
        }
    }
    let session = target.signed_in(&json!({"user_id": "alice", "audience": "portal"}));
    let mut refresh = session.text("refresh_token");
    for (resource, aud) in [
        ("portal", Some(json!([issuer, "portal"]))),
        (orders, None),
        (&*issuer, Some(json!(issuer))),
        ("", Some(json!([issuer, "portal"]))),
    ] {
        let answer = asks(&format!("grant_type=refresh_token&refresh_token={refresh}&resource={resource}"));
        match aud {
            Some(aud) => {
                assert_eq!(claims(&answer.text("access_token"))["aud"], aud, "{resource}");
                refresh = answer.text("refresh_token");
            }
            None => assert_eq!((answer.status, answer.text("error").as_str()), (400, "invalid_target")),
        }
    }
}

pub(super) fn token_endpoint_errors(target: Target) {
    let good = "grant_type=client_credentials&scope=orders:read";
    let basic = |body: &str| TestRequest::form("/oauth2/token", body).basic("portal", PORTAL_SECRET);
    let post = |body: &str| TestRequest::form("/oauth2/token", body);
    for (ask, status, error) in [
        (post(good), 401, "invalid_client"),
        (post(&format!("{good}&client_id=portal")), 401, "invalid_client"),
        (post(&format!("{good}&client_id=portal&client_secret=wrong")), 401, "invalid_client"),
        (post(&format!("{good}&client_id=nobody&client_secret=wrong")), 401, "invalid_client"),
        (post(&format!("{good}&client_id=closed&client_secret={}", BACKEND_SECRET)), 401, "invalid_client"),
        (post(good).basic("portal", "wrong"), 401, "invalid_client"),
        (post(good).basic("nobody", "wrong"), 401, "invalid_client"),
        (post(good).header("Authorization", "Basic !!!"), 401, "invalid_client"),
        (post(good).bearer("abc"), 401, "invalid_client"),
        (basic(&format!("{good}&client_secret=x")), 400, "invalid_request"),
        (basic(&format!("{good}&client_assertion=x")), 400, "invalid_request"),
        (
            post(&format!("{good}&client_id=portal&client_secret=x&client_assertion=x")),
            400,
            "invalid_request",
        ),
        (post(&format!("{good}&client_id=portal&client_assertion=x")), 401, "invalid_client"),
        (basic(&format!("{good}&client_id=backend")), 400, "invalid_request"),
        (basic(good).header("Authorization", "Basic eDp5"), 400, "invalid_request"),
        (basic("scope=orders:read"), 400, "invalid_request"),
        (basic("grant_type=&scope=orders:read"), 400, "invalid_request"),
        (basic(&format!("{good}&scope=orders:read")), 400, "invalid_request"),
        (basic(&format!("{good}&x=1&x=2")), 400, "invalid_request"),
        (basic(&format!("{good}&x=%zz")), 400, "invalid_request"),
        (basic(&format!("{good}&x=%00")), 400, "invalid_request"),
        (basic(&format!("{good}&x=%ff")), 400, "invalid_request"),
        (basic("grant_type=password&username=a&password=b"), 400, "unsupported_grant_type"),
        (basic("grant_type=client_credentials&scope=ticket:issue"), 400, "invalid_scope"),
        (basic("grant_type=client_credentials&scope=orders:read++orders:write"), 400, "invalid_scope"),
        (basic("grant_type=client_credentials&scope=%22"), 400, "invalid_scope"),
        (
            TestRequest::form("/oauth2/token", "grant_type=client_credentials")
                .basic("backend", BACKEND_SECRET),
            400,
            "invalid_scope",
        ),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, answer.text("error").as_str()), (status, error), "{ask:?}: {answer:?}");
        assert_eq!(keys(&answer.json()), ["error", "error_description"]);
        uncached(&answer);
        if status == 401 {
            assert!(
                answer.header("www-authenticate").is_some_and(|c| c.starts_with("Basic realm=")),
                "{answer:?}"
            );
        }
    }
    let unlike = TestRequest::json("/oauth2/token", &json!({"grant_type": "client_credentials"}));
    let answer = target.ask(&unlike.basic("portal", PORTAL_SECRET));
    assert_eq!((answer.status, answer.text("error").as_str()), (415, "invalid_request"));
}
