//! The table is what it says.

use super::*;
use crate::base::time::Time;
use crate::base::warning::Warnings;
use crate::crypto::seed::Seed;
use crate::engine::Keys;
use crate::settings::{Issuer, Settings};
use alloc::{vec, vec::Vec};

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
    let settings = Settings::new(Issuer::parse("http://gate.example").unwrap());
    let now = Time::from_unix(1_750_000_000);
    let (seed, warnings) = (Seed::new([1; 32]), Warnings::NONE);
    let inputs = RequestInputs { now, fraction: 0, seed, warnings, wall: now };
    Engine::new(settings, Keys::new(0, None, vec![])).handle(request, inputs)
}

#[test]
fn no_log_is_told_what_a_caller_made_up() {
    for (path, label, failures) in [
        ("/auth/ticket/signin", "/auth/ticket/signin", FailureClass::Guess),
        ("/auth/me/sessions", "/auth/me/sessions", FailureClass::Guess),
        ("/auth/me/sessions/rft_x?tkt_x", "/auth/me/sessions/", FailureClass::Guess),
        ("/auth/me/sessions/", "", FailureClass::Guess),
        ("/mfa/totp/devices/tkt_x", "/mfa/totp/devices/", FailureClass::Guess),
        ("/mfa/totp/devices/a/b", "", FailureClass::Guess),
        ("/auth/tkt_x", "", FailureClass::Guess),
        ("/auth", "", FailureClass::NoGuess),
        ("/userinfo", "/userinfo", FailureClass::NoGuess),
        ("/userinfo/x", "", FailureClass::NoGuess),
        ("/.well-known/x", "", FailureClass::NoGuess),
        ("/tkt_x", "", FailureClass::NoGuess),
        ("", "", FailureClass::NoGuess),
    ] {
        let request = request("BREW", path);
        let routed = RoutedRequest::of(&request);
        assert_eq!((routed.label(), routed.failures()), (label, failures), "{path}");
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
        let path = route.path.replace("{id}", "x");
        let Step::Reply(refused) = begin(request("BREW", &path)) else { panic!("{path} takes BREW") };
        let allow = refused.header("allow").unwrap_or_default();
        assert_eq!(refused.status(), 405, "{path}");
        assert!(route.methods.iter().all(|method| allow.split(", ").any(|one| one == *method)), "{allow}");
    }
    assert_eq!(allow("/auth/me/sessions"), "GET, HEAD, DELETE");
    assert_eq!(allow("/userinfo"), "GET, HEAD, POST");
}

#[test]
fn a_route_asks_for_what_its_row_says_in_its_format() {
    for route in ROUTES {
        let form = Request {
            headers: vec![("content-type".into(), b"application/x-www-form-urlencoded".to_vec())],
            body: b"grant_type=client_credentials&token=x".to_vec(),
            ..request(route.methods[0], &route.path.replace("{id}", "x"))
        };
        let step = begin(form);
        let reply = if let Step::Reply(reply) = &step { Some(reply) } else { None };
        let status = reply.map(|reply| reply.status());
        let challenge = reply.and_then(|reply| reply.header("www-authenticate")).unwrap_or_default();
        let asked = match (status, challenge.split(' ').next()) {
            (None | Some(200), _) => Authentication::Nobody,
            (Some(401), Some("Bearer")) => Authentication::AccessToken,
            (Some(401), Some("Basic")) => Authentication::Client,
            (Some(_), _) => Authentication::Credential,
        };
        assert_eq!(asked, route.authentication, "{route:?} {status:?}");
        let body = reply.map(|reply| core::str::from_utf8(reply.body()).unwrap()).unwrap_or_default();
        let errors = match (body.contains("\"error_description\""), challenge.starts_with("Bearer")) {
            (true, true) => ErrorFormat::Bearer,
            (true, false) => ErrorFormat::OAuth,
            (false, _) => ErrorFormat::Simple,
        };
        assert_eq!(errors, route.errors, "{route:?} {body}");
    }
}
