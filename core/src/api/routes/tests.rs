//! The table is what it says.

use super::*;
use crate::base::time::Time;
use crate::base::warning::Warnings;
use crate::crypto::seed::Seed;
use crate::engine::Keys;
use crate::settings::{Issuer, Settings};
use crate::store::query::Records;
use alloc::{format, vec, vec::Vec};

fn request(method: &str, path: &str) -> Request {
    Request {
        method: method.into(),
        target: path.into(),
        headers: vec![],
        body: vec![],
        peer: [192, 0, 2, 1].into(),
    }
}

fn begin(request: Request) -> Step {
    let settings = Settings::new(Issuer::parse("http://gate.example/x").unwrap());
    Engine::new(settings, Keys::new(0, None, vec![])).handle(request, inputs())
}

fn inputs() -> RequestInputs {
    let now = Time::from_unix(1_750_000_000);
    let (seed, warnings) = (Seed::new([1; 32]), Warnings::NONE);
    RequestInputs { now, fraction: 0, seed, warnings, wall: now }
}

/// Returns the path of a route whose variable end is the path of the issuer.
fn filled(route: &Route) -> String {
    route
        .path
        .split('/')
        .map(|segment| if segment.starts_with('{') { "x" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn the_metadata_of_an_issuer_with_a_path_has_its_path_at_the_end() {
    let status = |issuer: &str, path: &str| {
        let settings = Settings::new(Issuer::parse(issuer).unwrap());
        let engine = Engine::new(settings, Keys::new(0, None, vec![]));
        let Step::Read(read) = engine.handle(request("GET", path), inputs()) else { return 404 };
        let found = Found { generation: 0, state_epoch: 0, records: Records::Generation };
        let Step::Reply(reply) = read.resume(&engine, found) else { panic!("nothing is committed") };
        reply.status()
    };
    for place in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        for (issuer, end, expected) in [
            ("https://gate.example", "", 200),
            ("https://gate.example", "/", 404),
            ("https://gate.example", "/gate", 404),
            ("https://gate.example/gate", "/gate", 200),
            ("https://gate.example/gate/", "/gate", 200),
            // The proxy takes the path away.
            ("https://gate.example/gate", "", 200),
            ("https://gate.example/gate", "/gate/", 404),
            ("https://gate.example/gate", "/Gate", 404),
            ("https://gate.example/gate", "/gate/x", 404),
            ("https://gate.example/a/b", "/a/b", 200),
            ("https://gate.example/a/b", "/a", 404),
        ] {
            assert_eq!(status(issuer, &format!("{place}{end}")), expected, "{issuer} {place}{end}");
        }
    }
}

#[test]
fn no_log_gets_what_a_caller_made_up() {
    for (path, label) in [
        ("/auth/ticket/signin", "/auth/ticket/signin"),
        ("/auth/me/sessions", "/auth/me/sessions"),
        ("/auth/me/sessions/rft_x?tkt_x", "/auth/me/sessions/{id}"),
        ("/auth/me/sessions/", ""),
        ("/mfa/totp/devices/tkt_x", "/mfa/totp/devices/{id}"),
        ("/mfa/totp/devices/a/b", ""),
        ("/auth/tkt_x", ""),
        ("/auth", ""),
        ("/userinfo", "/userinfo"),
        ("/userinfo/x", ""),
        ("/.well-known/x", ""),
        ("/.well-known/openid-configuration/tkt_x/y", "/.well-known/openid-configuration/{path}"),
        ("/tkt_x", ""),
        ("", ""),
    ] {
        let request = request("BREW", path);
        let routed = RoutedRequest::of(&request);
        assert_eq!(routed.label(), label, "{path}");
    }
}

#[test]
fn a_path_has_each_method_once_and_allows_what_its_rows_take() {
    let mut seen = Vec::new();
    for route in ROUTES {
        for method in route.methods {
            assert!(!seen.contains(&(method, route.path)), "{method} {}", route.path);
            seen.push((method, route.path));
        }
        let path = filled(route);
        let Step::Reply(refused) = begin(request("BREW", &path)) else { panic!("{path} takes BREW") };
        let allow = refused.header("allow").unwrap_or_default();
        assert_eq!(refused.status(), 405, "{path}");
        assert!(route.methods.iter().all(|method| allow.split(", ").any(|one| one == *method)), "{allow}");
    }
    assert_eq!(allow("/auth/me/sessions"), "GET, HEAD, DELETE");
    assert_eq!(allow("/userinfo"), "GET, HEAD, POST");
    let options = options();
    let allow: Vec<_> = options.header("allow").unwrap_or_default().split(", ").collect();
    let mut once = allow.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((options.status(), allow.len()), (204, once.len()));
    let every = ROUTES.iter().flat_map(|route| route.methods).copied().chain(["HEAD", "OPTIONS"]);
    assert!(every.clone().all(|method| allow.contains(&method)), "{allow:?}");
    assert!(allow.iter().all(|method| every.clone().any(|one| one == *method)), "{allow:?}");
}

#[test]
fn a_route_asks_for_what_its_row_says_in_its_format() {
    for route in ROUTES {
        let form = Request {
            headers: vec![("content-type".into(), b"application/x-www-form-urlencoded".to_vec())],
            body: b"grant_type=client_credentials&token=x".to_vec(),
            ..request(route.methods[0], &filled(route))
        };
        let step = begin(form);
        let reply = if let Step::Reply(reply) = &step { Some(reply) } else { None };
        let status = reply.map(|reply| reply.status());
        let challenge = reply.and_then(|reply| reply.header("www-authenticate")).unwrap_or_default();
        let asked = match (status, challenge.split(' ').next()) {
            (None | Some(200), _) => Authentication::Nobody,
            (Some(401), Some("Bearer")) if !route.roles.is_empty() => Authentication::Administrator,
            (Some(401), Some("Bearer")) => Authentication::AccessToken,
            (Some(401), Some("Basic")) => Authentication::Client,
            (Some(_), _) => Authentication::Credential,
        };
        assert_eq!(asked, route.authentication, "{route:?} {status:?}");
        let refused = reply.filter(|reply| reply.status() >= 400);
        let body = refused.map(|reply| core::str::from_utf8(reply.body()).unwrap()).unwrap_or_default();
        let errors = match (body.contains("\"error_description\""), challenge.starts_with("Bearer")) {
            (true, true) => ErrorFormat::Bearer,
            (true, false) => ErrorFormat::OAuth,
            (false, _) => ErrorFormat::Simple,
        };
        assert_eq!(errors, route.errors, "{route:?} {body}");
    }
}
