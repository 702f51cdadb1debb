//! `gatepass config`, and what a server logs about its configuration.

use std::fs;

use serde_json::{Value, json};

use crate::installation::{TestInstallation, read};

#[test]
fn everything_wrong_is_printed_at_once() {
    let installation = TestInstallation::new();
    let file = installation.path().join("gatepass.toml");
    let place = |line: u32| format!("{} line {line}", file.display());
    fs::write(&file, "workers = -1\n[risk]\nhigh = 0\nmedum = 1\n").unwrap();
    let mut command = installation.command(&["--json", "config", "check"]);
    command.env("GATEPASS_HTTP_HEADERS", "9").env("GATEPASS_SERVICE_HOST", "10.0.0.1");
    let checked = read(&[], &command.output().unwrap(), 1);
    let expected = [json!("GATEPASS_HTTP_HEADERS"), json!(place(1)), json!(place(3)), json!(place(4))];
    let problems = checked["problems"].as_array().unwrap();
    assert_eq!(problems.iter().map(|problem| problem["place"].clone()).collect::<Vec<_>>(), expected);
    assert_eq!(
        problems[0]["problem"],
        "no such variable: did you mean GATEPASS_HEADERS? Correct it, or unset it"
    );
    assert_eq!(checked["ok"], false);
    assert_eq!(checked["warnings"], json!(["the variable GATEPASS_SERVICE_HOST sets nothing"]));

    let text = installation.run(&["config", "check"]);
    assert_eq!((text.status.code(), &*text.stderr), (Some(1), &b""[..]));
    let text = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    let (code, said) = installation.refused(&["serve"]);
    assert!(code == 2 && said.contains(&place(1)) && said.contains("and 2 more"), "{said}");

    for (file_text, problem) in [
        (
            "[risk]\nhigh = 10\nmedium = 20",
            Some("risk_medium is over risk_high: lower the one or raise the other"),
        ),
        ("[http]\nheaders = 9", None),
    ] {
        fs::write(&file, file_text).unwrap();
        let output = installation.run(&["--json", "config", "check"]);
        let checked = read(&[], &output, i32::from(problem.is_some()));
        assert_eq!(
            (&checked["ok"], &checked["problems"][0]["problem"]),
            (&json!(problem.is_none()), &json!(problem))
        );
    }
    assert!(fs::read_dir(installation.path()).unwrap().count() == 1, "nothing was made");
}

#[test]
fn each_value_is_shown_with_the_place_that_it_comes_from() {
    let installation = TestInstallation::new();
    let file = installation.path().join("gatepass.toml");
    fs::write(
        &file,
        "tenant = \"a\"\n\n[lifetimes]\nticket = 77\n[http]\nhosts = [\"a\", \"b\"]\nheaders = 9",
    )
    .unwrap();
    let mut command = installation.command(&["--json", "config", "show"]);
    let shown = read(&[], &command.env("GATEPASS_HEADERS", "10").output().unwrap(), 0);
    let shown = shown.as_array().unwrap();
    let line = |line: u32| format!("{} line {line}", file.display());
    for (key, value, source, line_number, from, needs_restart) in [
        ("tenant", json!("a"), "file", json!(1), line(1), false),
        ("lifetimes.ticket", json!("77"), "file", json!(4), line(4), false),
        ("http.hosts", json!("a,b"), "file", json!(6), line(6), false),
        ("http.headers", json!("10"), "environment", Value::Null, "GATEPASS_HEADERS".into(), true),
        ("http.workers", json!("0"), "default", Value::Null, "default".into(), true),
        ("issuer", Value::Null, "default", Value::Null, "default".into(), false),
    ] {
        let setting = shown.iter().find(|setting| setting["key"] == key).unwrap();
        let expected = json!({"key": key, "value": value, "source": source, "line": line_number, "from": from,
            "needs_restart": needs_restart});
        assert_eq!(*setting, expected);
    }
    let text = String::from_utf8(installation.run(&["config", "show"]).stdout).unwrap();
    assert_eq!(text.lines().count(), 1 + shown.len());
    assert!(text.lines().any(|row| row.starts_with("lifetimes.ticket") && row.contains(&line(4))), "{text}");
}

#[test]
fn a_reload_logs_what_changed_key_by_key() {
    let installation = TestInstallation::with_key();
    let (file, log) = (installation.path().join("gatepass.toml"), installation.path().join("log"));
    let server = installation.serve_to(&[], fs::File::create(&log).unwrap().into());
    let text = "[http]\nheaders = 9\nhosts = [\"new.example\"]\n[risk]\nhigh = 70\n[lifetimes]\nticket = 300";
    fs::write(&file, text).unwrap();
    server.signal("-HUP");
    // A thread of its own handles the signal: repeat the request.
    assert!((0..1_000).any(|_| server.health("HTTP/1.1\r\nHost: new.example\r\n") == 200));
    assert_eq!(server.end(), Some(0));
    let said = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap();
    let changed = &line("the configuration was read again")["changed"];
    assert_eq!(*changed, "http.hosts: (none) -> new.example, risk.high: 60 -> 70", "{said}");
    assert_eq!(line("these keys hold from the next start on")["keys"], "http.headers: 64 -> 9", "{said}");
}

/// The small binary keeps records in a file alone.
#[cfg(not(feature = "postgres"))]
#[test]
fn a_build_without_postgresql_says_how_to_get_one_with_it() {
    let installation = TestInstallation::new();
    let address = "postgres://gatepass@db/gatepass?sslmode=disable";
    let (code, said) = installation.refused(&["serve", "--store", address]);
    assert!(code == 2 && said.contains("`cargo build --release --features postgres`"), "{said}");
    // Before it judges the address.
    for arguments in [
        &["serve", "--store", "postgres://gatepass:hunter2@db/gatepass"][..],
        &["user", "list", "--store", "hunter2"],
        &["store", "copy", "--from", ".", "--to", "postgres://gatepass:hunter2@db/gatepass"],
    ] {
        let (code, said) = installation.refused(arguments);
        let is_told = said.contains("this gatepass was built without PostgreSQL");
        assert!(code == 2 && is_told && !said.contains("hunter2"), "{said}");
    }
    fs::write(installation.path().join("gatepass.toml"), format!("store = {address:?}")).unwrap();
    let (code, said) = installation.refused(&["user", "list"]);
    assert!(
        code == 2 && said.contains("gatepass.toml line 1: store: this gatepass was built without"),
        "{said}"
    );
}
