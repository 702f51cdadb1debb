//! The real binary on a real disk.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::io::Write;
use std::thread;

use gatepass_tests::fixtures::{PAM_PASSWORD, text};
use gatepass_tests::http::{TestRequest, connect, read_answer};
use gatepass_tests::server::TestInstallation;
use gatepass_tests::suite::{SUITE, claims};
use gatepass_tests::totp::code_ahead;
use serde_json::json;

#[test]
fn the_binary_passes_the_suite() {
    let installation = TestInstallation::new();
    let server = installation.serve(&[]);
    installation.populate();
    for (name, test) in SUITE {
        println!("{name}");
        test(server.target());
    }
    // The suite leaves lou with a device, and locked.
    let reset = installation.json(&["user", "reset-mfa", "lou"]);
    assert_eq!((&reset["devices"], &reset["backup_codes"]), (&json!(1), &json!(10)));
    let plain = server.target().sign_in(&server.target().ticket(&json!({"user_id": "lou"})));
    assert_eq!(plain.json()["requires_mfa"], json!(false));
    // Sessions from before the factors were removed have ended.
    let session = plain.text("access_token");
    assert!(server.target().is_active(&session));
    installation.json(&["user", "reset-mfa", "lou"]);
    assert!(!server.target().is_active(&session));
    assert_eq!(installation.json(&["audit", "verify"])["valid"], json!(true));
}

#[test]
fn passwords_and_factors_by_commands() {
    let installation = TestInstallation::new();
    // The result would depend on the speed of the test.
    std::fs::write(installation.path().join("gatepass.toml"), "risk_account_changed = 0").expect("a file");
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    let server = installation.serve(&[]);
    installation.populate();
    let target = server.target();
    let login = |password: &str| {
        target.ask(&TestRequest::json("/auth/login", &json!({"identity": "pam", "password": password})))
    };
    for (password, told) in [
        ("short", "too short"),
        ("password1", "commonest"),
        ("pam@example.com", "own name"),
        ("correct mule\ncorrect mule\n", "one line"),
    ] {
        let refused = installation.run_with(&["user", "set-password", "pam"], password);
        assert_eq!(refused.status.code(), Some(2), "{password}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(told), "{password}: {refused:?}");
    }
    let session = login(PAM_PASSWORD).text("access_token");
    assert_eq!(installation.run(&["user", "require-password-change", "alice"]).status.code(), Some(1));
    installation.json(&["user", "require-password-change", "pam"]);
    assert_eq!(target.ask(&TestRequest::new("GET", "/userinfo").bearer(&session)).status, 401);
    assert_eq!(claims(&login(PAM_PASSWORD).text("access_token"))["scope"], json!("gatepass:change-password"));
    installation.json_with(&["user", "set-password", "pam"], "correct mule battery\n");
    assert_eq!(claims(&login("correct mule battery").text("access_token"))["scope"], json!("profile"));
    for _ in 0..3 {
        assert_eq!(login("wrong").status, 400);
    }
    installation.json(&["user", "unlock", "pam"]);
    assert_eq!(login("correct mule battery").status, 200);

    let shown = installation.run(&["user", "totp", "lou"]);
    // The quiet zone, and the edges of two finder patterns in it.
    let picture = String::from_utf8_lossy(&shown.stdout);
    assert!(picture.lines().any(|row| row.starts_with("██ ▄▄▄▄▄ █") && row.ends_with("█ ▄▄▄▄▄ ██")));
    let set_up = installation.json(&["user", "totp", "pam", "--device-name", "telephone"]);
    assert_eq!(set_up["backup_codes"].as_array().map(Vec::len), Some(10));
    assert_eq!(installation.run(&["user", "totp", "pam", "--verify", "wrong"]).status.code(), Some(1));
    let code = code_ahead(&text(&set_up, "secret"), 0);
    assert_eq!(installation.json(&["user", "totp", "pam", "--verify", &code])["verified"], json!(true));

    let explain =
        |arguments: &[&str]| installation.json(&[&["risk", "explain", "--user", "pam"], arguments].concat());
    let known = explain(&[]);
    assert_eq!((&known["signals"], &known["decision"]), (&json!({"recent_failures": 25}), &json!("sign in")));
    let new = explain(&["--device", "phone", "--address", "203.0.113.7"]);
    let signals = json!({"recent_failures": 25, "new_device": 40, "new_network": 15});
    assert_eq!((&new["signals"], &new["score"], &new["level"]), (&signals, &json!(80), &json!("high")));
    assert_eq!((&new["decision"], &new["reason"]), (&json!("challenge"), &json!("new_device")));
    let rows = installation.json(&["audit", "list"]);
    let before = rows.as_array().map(Vec::len);
    let acting = explain(&["--actor", "boss", "--ticket-age", "270s"]);
    let late = explain(&["--ticket-age", "300s"]);
    assert_eq!((&late["decision"], &late["reason"]), (&json!("refuse"), &json!("ticket-expired")));
    assert_eq!(acting["signals"], json!({"old_ticket": 10, "impersonation": 30}));
    assert_eq!(installation.json(&["audit", "list"]).as_array().map(Vec::len), before, "nothing is decided");
    let asked =
        TestRequest::json("/auth/login", &json!({"identity": "pam", "password": "correct mule battery"}));
    let asked = target.ask(&asked.header("X-Device-Id", "phone")).json();
    assert_eq!((&asked["requires_mfa"], &asked["mfa_check_reason"]), (&json!(true), &json!("new_device")));
    let rows = installation.json(&["audit", "list"]);
    let last = rows.as_array().and_then(|rows| rows.last()).expect("a row");
    let signals = json!({"new_device": 40, "recent_failures": 25});
    assert_eq!(last["risk"], json!({"score": 65, "level": "high", "signals": signals}));
    assert_eq!(installation.json(&["audit", "verify"])["valid"], json!(true));
}

#[test]
fn the_stock_front_passes_the_suite() {
    let installation = TestInstallation::new();
    let server = installation.serve(&["--front", "tiny_http"]);
    installation.populate();
    for (name, test) in SUITE {
        println!("{name}");
        test(server.target());
    }
}

#[test]
fn no_refusal_is_cached_not_even_before_its_route_is_known() {
    let installation = TestInstallation::new();
    let long = "x".repeat(64 * 1024 + 1);
    for front in ["guarded", "tiny_http"] {
        let server = installation.serve(&["--front", front]);
        for path in ["/auth/ticket/signin", "/oauth2/token", "/userinfo", "/nowhere"] {
            let answer = server.target().ask(&TestRequest::new("POST", path).body(long.clone()));
            assert_eq!((answer.status, &answer.json()["code"]), (413, &json!(41300)), "{front} {path}");
            let caching = (answer.header("cache-control"), answer.header("pragma"));
            assert_eq!(caching, (Some("no-store"), Some("no-cache")), "{front} {path}");
        }
    }
}

#[test]
fn a_spent_ticket_stays_spent_and_a_token_good_after_a_restart() {
    let installation = TestInstallation::new();
    let issuer = ["--issuer", "http://gate.example"];
    let server = installation.serve(&issuer);
    installation.populate();
    let (spent, kept) = (
        server.target().ticket(&json!({"user_id": "alice"})),
        server.target().ticket(&json!({"user_id": "alice"})),
    );
    let token = server.target().sign_in(&spent).text("access_token");
    server.kill();
    let server = installation.serve(&issuer);
    assert_eq!(server.target().sign_in(&spent).status, 400);
    assert_eq!(server.target().sign_in(&kept).status, 200);
    let seen = TestRequest::new("GET", "/userinfo").bearer(&token).to(server.address);
    assert_eq!(seen.json()["sub"], claims(&token)["sub"]);
    assert!(server.terminate());
}

#[test]
fn two_servers_on_one_directory_spend_a_ticket_once() {
    let installation = TestInstallation::new();
    let issuer = ["--issuer", "http://gate.example"];
    let servers = [installation.serve(&issuer), installation.serve(&issuer)];
    installation.populate();
    for _ in 0..5 {
        let ticket = servers[0].target().ticket(&json!({"user_id": "alice"}));
        let redeemers: Vec<_> = (0..16)
            .map(|i| {
                let (target, ticket) = (servers[i % 2].target(), ticket.clone());
                thread::spawn(move || target.sign_in(&ticket).status)
            })
            .collect();
        let statuses: Vec<u16> = redeemers.into_iter().map(|r| r.join().expect("a redeemer")).collect();
        assert_eq!(statuses.iter().filter(|&&s| s == 200).count(), 1, "{statuses:?}");
    }
}

#[test]
fn the_bounds_of_the_configuration_reach_the_front() {
    let installation = TestInstallation::new();
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    let server = installation.serve(&[
        "--body-bytes=256",
        "--head-bytes=512",
        "--request-line-bytes=256",
        "--headers=4",
        "--request-time=100ms",
        "--idle-time=100ms",
    ]);
    let get = || TestRequest::new("GET", "/healthz");
    for (ask, status) in [
        (get(), 200),
        (get().body(vec![b'x'; 256]), 200),
        (get().body(vec![b'x'; 257]), 413),
        (TestRequest::new("GET", &format!("/{}", "x".repeat(256))), 414),
        (get().header("X", &"x".repeat(500)), 431),
        (get().header("X", "1").header("Y", "2"), 200),
        (get().header("X", "1").header("Y", "2").header("Z", "3"), 431),
    ] {
        assert_eq!(server.target().ask(&ask).status, status, "{ask:?}");
    }
    let mut slow = connect(server.address);
    slow.write_all(b"GET /healthz HTTP/1.1\r\n").expect("the server reads");
    assert_eq!(read_answer(&mut slow, false).expect("an answer").status, 408);
    assert!(read_answer(&mut connect(server.address), false).is_none(), "an idle connection is closed");
}
