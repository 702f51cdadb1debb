//! `GET /metrics` of the real binary: what it says, to whom, and where; and the address for administration alone.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::net::SocketAddr;

use gatepass::telemetry::metrics::families::{Family, Type};
use gatepass_tests::fixtures::{BACKEND_SECRET, PORTAL_SECRET};
use gatepass_tests::http::{Answer, TestRequest};
use gatepass_tests::server::TestInstallation;
use serde_json::json;

fn get(address: SocketAddr, path: &str) -> Answer {
    TestRequest::new("GET", path).to(address)
}

fn metrics(address: SocketAddr) -> String {
    let answer = get(address, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(media));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    String::from_utf8(answer.body).expect("text")
}

/// The families that tell of the files of SQLite alone.
const OF_FILES: [&str; 1] = ["gatepass_backup_age_seconds"];

/// Returns the value of the sample with this name and these labels.
fn value(text: &str, sample: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(rest.parse().expect("a number"))
}

#[test]
fn requests_are_counted_and_nothing_that_somebody_sends_is_a_label() {
    let installation = TestInstallation::new();
    installation.populate();
    let copies = tempfile::tempdir().expect("a directory");
    let running = installation.serve(&[]);
    let before = metrics(running.address);
    assert_eq!(value(&before, "gatepass_backup_age_seconds"), None, "there was no backup");
    let ticket = installation.json(&["ticket", "issue", "--user", "alice"]);
    let ticket = ticket["ticket"].as_str().expect("a ticket").to_owned();
    for (call, status) in [
        (TestRequest::json("/auth/ticket/signin", &json!({"ticket": ticket})), 200),
        (TestRequest::json("/auth/ticket/signin", &json!({"ticket": ticket})), 400),
        (
            TestRequest::json("/auth/ticket/signin", &json!({"ticket": format!("tkt_{}", "A".repeat(43))})),
            400,
        ),
        (TestRequest::json("/auth/login", &json!({"identity": "pam", "password": "marmalade"})), 400),
        (
            TestRequest::form("/oauth2/token", "grant_type=client_credentials")
                .basic("portal", PORTAL_SECRET),
            200,
        ),
        (
            TestRequest::form("/oauth2/token", "grant_type=client_credentials")
                .basic("portal", BACKEND_SECRET),
            401,
        ),
        (TestRequest::new("GET", "/marmalade/1?marmalade=1"), 404),
        (TestRequest::new("MARMALADE", "/userinfo"), 405),
        (TestRequest::new("GET", "/auth/me/sessions/marmalade"), 405),
        (TestRequest::new("HEAD", "/healthz").header("user-agent", "marmalade"), 200),
    ] {
        assert_eq!(call.to(running.address).status, status, "{call:?}");
    }
    let backup = copies.path().join("backup");
    // Of a database, PostgreSQL's own programs make backups.
    let is_file = installation.database().is_none();
    if is_file {
        installation.json(&["backup", backup.to_str().expect("a path")]);
    }
    let text = metrics(running.address);
    for (sample, expected) in [
        (r#"gatepass_requests_total{method="POST",route="/auth/ticket/signin",status="200"}"#, 1.0),
        (r#"gatepass_requests_total{method="POST",route="/auth/ticket/signin",status="400"}"#, 2.0),
        (r#"gatepass_requests_total{method="POST",route="/oauth2/token",status="401"}"#, 1.0),
        (r#"gatepass_requests_total{method="",route="",status="404"}"#, 1.0),
        (r#"gatepass_requests_total{method="",route="",status="405"}"#, 2.0),
        (r#"gatepass_requests_total{method="GET",route="/healthz",status="200"}"#, 1.0),
        (r#"gatepass_request_duration_seconds_count{method="POST",route="/auth/ticket/signin"}"#, 3.0),
        (r#"gatepass_sign_ins_total{outcome="ticket.redeemed",refusal=""}"#, 1.0),
        (r#"gatepass_sign_ins_total{outcome="ticket.refused",refusal="ticket-spent"}"#, 1.0),
        (r#"gatepass_sign_ins_total{outcome="refusals",refusal="ticket-unknown"}"#, 1.0),
        (r#"gatepass_sign_ins_total{outcome="password.refused",refusal="password-wrong"}"#, 1.0),
        (r#"gatepass_refusals_total{route="/oauth2/token",refusal="client-secret-wrong"}"#, 1.0),
        (r#"gatepass_audit_events_total{kind="ticket.redeemed"}"#, 1.0),
        (r#"gatepass_connections_limit{front="public"}"#, 1024.0),
        (r#"gatepass_requests_in_flight{front="public"}"#, 1.0),
        (r#"gatepass_rows{table="users"}"#, 7.0),
        (r#"gatepass_rows{table="clients"}"#, 3.0),
        ("gatepass_password_hashes_total", 1.0),
        ("gatepass_password_hashes_running", 0.0),
        ("gatepass_rollback_covered", 1.0),
        ("gatepass_disk_full", 0.0),
    ] {
        assert_eq!(value(&text, sample), Some(expected), "{sample} in {text}");
    }
    assert_eq!(value(&text, "gatepass_backup_age_seconds").is_some_and(|age| age < 3600.0), is_file);
    assert!(value(&text, "gatepass_batch_sync_seconds_count").is_some_and(|count| count > 0.0));
    assert!(text.contains(r#"alg="RS256",state="signing"} "#) && text.ends_with("# EOF\n"));
    for made_up in ["marmalade", "MARMALADE", ticket.as_str(), "pam", "127.0.0.1"] {
        assert!(!text.contains(made_up), "{made_up} in {text}");
    }
    let operating = include_str!("../../docs/operating.md");
    for family in Family::ALL {
        let name = family.name();
        let explained = operating.split(&format!("\n| `{name}` | ")).nth(1).expect("a row of the document");
        let explained = explained.split(" | ").nth(1).expect("a cell").trim_matches(['|', ' ']);
        if !is_file && OF_FILES.contains(&&*name) {
            continue;
        }
        let base = if family.kind() == Type::Histogram { format!("{name}_count") } else { name };
        let mut samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(base.as_str()));
        let sample = samples.next().unwrap_or_else(|| panic!("{base} in {text}"));
        let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
        let labels: Vec<_> = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0)).collect();
        assert_eq!(labels.join(", "), explained, "{sample}");
    }
}

#[test]
fn who_may_read_them() {
    for (metrics, forwarded, status) in [
        ("loopback", None, 200),
        ("loopback", Some("x-forwarded-for"), 401),
        ("loopback", Some("forwarded"), 401),
        ("everyone", Some("x-forwarded-for"), 200),
        ("off", None, 401),
    ] {
        let installation = TestInstallation::new();
        let running = installation.serve(&["--metrics", metrics]);
        let call = TestRequest::new("GET", "/metrics");
        let call = match forwarded {
            Some(header) => call.header(header, "192.0.2.1"),
            None => call,
        };
        let answer = call.to(running.address);
        assert_eq!(answer.status, status, "{metrics} {forwarded:?}");
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"gatepass\""));
            assert_eq!(answer.json()["code"], 40100);
        }
    }
}

#[test]
fn an_address_of_its_own_serves_administration_and_the_other_does_not() {
    let installation = TestInstallation::new();
    let mut running = installation.serve(&["--admin-listen", "127.0.0.1:0"]);
    let own = running.administration.expect("an address");
    for (path, public, administrative) in [
        ("/metrics", 404, 200),
        ("/admin/v1/users", 404, 401),
        ("/healthz", 200, 404),
        ("/readyz", 200, 404),
        ("/.well-known/jwks.json", 200, 404),
        ("/userinfo", 401, 404),
        ("/auth/login", 405, 404),
        ("/nothing", 404, 404),
    ] {
        let found = (get(running.address, path).status, get(own, path).status);
        assert_eq!(found, (public, administrative), "{path}");
    }
    let text = metrics(own);
    for front in ["public", "administration"] {
        let sample = format!("gatepass_connections{{front=\"{front}\"}}");
        assert!(value(&text, &sample).is_some(), "{sample} in {text}");
    }
    assert!(running.end(), "both end well");
    assert!(std::net::TcpStream::connect(own).is_err());
}

#[test]
fn an_address_in_use_is_named_with_its_key() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let installation = TestInstallation::new();
    let output = installation.run(&["serve", "--listen", "127.0.0.1:0", "--admin-listen", &address]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&address) && told.contains("--admin-listen"), "{told}");
}
