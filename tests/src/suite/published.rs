//! The published documents, and the methods of every path.

use serde_json::json;

use super::{Target, sign_in, simple};
use crate::http::TestRequest;

pub(super) fn paths_and_methods(target: Target) {
    for (method, path, status, allow) in [
        ("GET", "/", 404, None),
        ("GET", "/nowhere", 404, None),
        ("GET", "/auth/ticket/signin/", 404, None),
        ("GET", "/Userinfo", 404, None),
        ("GET", "/auth/../userinfo", 404, None),
        ("GET", "/%75serinfo", 404, None),
        ("GET", "/auth/ticket/signin", 405, Some("POST")),
        ("DELETE", "/auth/generate-ticket", 405, Some("POST")),
        ("GET", "/oauth2/token", 405, Some("POST")),
        ("PUT", "/userinfo", 405, Some("GET, HEAD, POST")),
        ("POST", "/.well-known/jwks.json", 405, Some("GET, HEAD")),
        ("POST", "/healthz", 405, Some("GET, HEAD")),
        ("get", "/healthz", 405, Some("GET, HEAD")),
        ("GET", "/healthz?x=1", 200, None),
        ("GET", "/readyz", 200, None),
        ("HEAD", "/readyz", 200, None),
    ] {
        let answer = target.ask(&TestRequest::new(method, path));
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {path}");
    }
}

pub(super) fn what_is_published(target: Target) {
    let keys_of = |path: &str| target.ask(&TestRequest::new("GET", path)).json();
    let set = keys_of("/.well-known/jwks.json");
    for key in set["keys"].as_array().expect("keys") {
        assert!(key["kid"].is_string() && key["alg"].is_string() && key["use"] == "sig", "{key}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(key.get(private), None, "a private member is published");
        }
    }
    let metadata = keys_of("/.well-known/oauth-authorization-server");
    let issuer = metadata["issuer"].as_str().expect("an issuer");
    assert_eq!(metadata["token_endpoint"], json!(format!("{issuer}/oauth2/token")));
    assert_eq!(metadata["jwks_uri"], json!(format!("{issuer}/.well-known/jwks.json")));
    let openid = keys_of("/.well-known/openid-configuration");
    assert_eq!(
        (&openid["issuer"], &openid["userinfo_endpoint"]),
        (&json!(issuer), &json!(format!("{issuer}/userinfo")))
    );
    assert_eq!(openid["subject_types_supported"], json!(["public"]));
}

pub(super) fn copies_of_what_is_published(target: Target) {
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/openapi.json",
    ] {
        let whole = target.ask(&TestRequest::new("GET", path));
        assert_eq!(
            (whole.status, whole.header("cache-control")),
            (200, Some("public, max-age=300")),
            "{path}"
        );
        let tag = whole.header("etag").expect("a tag").to_owned();
        for (method, known, status) in [
            ("GET", tag.clone(), 304),
            ("HEAD", tag.clone(), 304),
            ("GET", format!("W/{tag}"), 304),
            ("GET", format!("\"other\", {tag}"), 304),
            ("GET", "*".into(), 304),
            ("GET", "\"other\"".into(), 200),
            ("HEAD", "\"other\"".into(), 200),
        ] {
            let answer = target.ask(&TestRequest::new(method, path).header("If-None-Match", &known));
            assert_eq!(
                (answer.status, answer.header("etag")),
                (status, Some(tag.as_str())),
                "{method} {known}"
            );
            assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
            let has_body = status == 200 && method == "GET";
            assert_eq!(
                answer.body,
                if has_body { whole.body.clone() } else { Vec::new() },
                "{method} {known}"
            );
        }
    }
}

pub(super) fn messages_in_chinese(target: Target) {
    let ask = sign_in("tkt_x").header("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8");
    let answer = target.ask(&ask);
    simple(&answer, 400, 40010);
    assert_eq!(answer.text("message"), "票据无效、已过期或已使用");
}
