//! The secret of the first client: on a terminal, and everywhere else.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::installation::{Server, TestInstallation};

const GATEPASS: &str = env!("CARGO_BIN_EXE_gatepass");

fn file(installation: &TestInstallation) -> PathBuf {
    installation.path().join("admin.secret")
}

/// Starts a server without a terminal, and ends it. Returns its log, and the secret in the file.
fn first_start(installation: &TestInstallation) -> (String, String) {
    let log = installation.path().join("log");
    let server = installation.serve_to(&[], fs::File::create(&log).unwrap().into());
    let secret = fs::read_to_string(file(installation)).unwrap();
    assert_eq!(token(&server, secret.trim_end()), 200);
    assert!(!server.ready.to_string().contains("gps_"), "{}", server.ready);
    assert_eq!(server.end(), Some(0));
    (fs::read_to_string(log).unwrap(), secret)
}

fn token(server: &Server, secret: &str) -> u16 {
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    let form = format!("grant_type=client_credentials&scope=profile&client_id=admin&client_secret={secret}");
    server.ask("POST", "/oauth2/token", headers, &form).0
}

/// Returns the finding about the file.
fn reminder(installation: &TestInstallation) -> Option<Value> {
    let report = installation.json(&["check"]);
    let mut findings = report["findings"].as_array().unwrap().iter();
    findings.find(|finding| finding["code"] == "first-secret-kept").cloned()
}

#[test]
fn without_a_terminal_the_secret_goes_to_a_file_and_to_no_log() {
    let installation = TestInstallation::with_key();
    // Of a former installation.
    fs::write(file(&installation), "old").unwrap();
    let (log, secret) = first_start(&installation);
    assert!(secret.starts_with("gps_") && secret.len() == 48 && secret.ends_with('\n'), "{secret}");
    assert_eq!(fs::metadata(file(&installation)).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(log.contains("admin.secret") && !log.contains("gps_"), "{log}");
    let found = reminder(&installation).unwrap();
    assert_eq!(found["severity"], "warning");
    assert!(found["way_out"].as_str().unwrap().contains("rotate-secret admin"), "{found}");
    fs::remove_file(file(&installation)).unwrap();
    assert_eq!(reminder(&installation), None);
    assert!(installation.serve(&[]).ready["admin"].is_null(), "a later start makes none");
}

#[test]
fn another_secret_ends_the_reminder() {
    let installation = TestInstallation::with_key();
    let (_, former) = first_start(&installation);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let rotate = ["client", "rotate-secret", "admin"];
    assert_eq!(installation.command(&rotate).stdout(full).status().unwrap().code(), Some(1));
    assert!(reminder(&installation).is_some(), "the secret in the file is good");
    let new = installation.json(&rotate)["client_secret"].as_str().unwrap().to_owned();
    assert!(reminder(&installation).is_none() && !file(&installation).exists());
    let server = installation.serve(&[]);
    assert_eq!((token(&server, &new), token(&server, former.trim_end())), (200, 401));
}

/// Reads lines until one contains `last`.
fn lines_until(read: impl Read, last: &str) -> String {
    let mut said = String::new();
    for line in BufReader::new(read).lines() {
        said.push_str(&line.unwrap());
        said.push('\n');
        if said.contains(last) {
            return said;
        }
    }
    panic!("no {last} in {said}")
}

#[test]
fn a_first_start_that_was_cut_short_tells_another_secret() {
    let installation = TestInstallation::with_key();
    let (_, former) = first_start(&installation);
    // The client was made, and the file is as empty as before that.
    fs::write(file(&installation), "").unwrap();
    let (_, secret) = first_start(&installation);
    assert_ne!(secret, former);
    // There is no client any more to have one.
    installation.json(&["client", "add", "other"]);
    installation.json(&["client", "delete", "admin"]);
    fs::write(file(&installation), "").unwrap();
    assert!(installation.serve(&[]).ready["admin"].is_null());
    assert!(!file(&installation).exists());
}

#[test]
fn a_text_output_that_is_no_terminal_has_no_secret() {
    let installation = TestInstallation::with_key();
    let mut child = installation.command(&["serve", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let log = lines_until(child.stderr.take().unwrap(), "\"ready\"");
    let said = lines_until(child.stdout.take().unwrap(), "listens on");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("First start: everything is in /") && !said.contains("gps_"), "{said}");
    assert!(log.contains("admin.secret") && !log.contains("gps_"), "{log}");
    assert!(file(&installation).exists());
}

#[test]
fn a_server_whose_output_is_full_serves() {
    let installation = TestInstallation::with_key();
    for arguments in [&["serve"][..], &["serve", "--demo"], &["--json", "serve", "--demo"]] {
        let mut serve = installation.command(&[arguments, &["--listen", "127.0.0.1:0"]].concat());
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut child = serve.stdout(full).spawn().unwrap();
        let log = lines_until(child.stderr.take().unwrap(), "\"ready\"");
        assert!(log.contains("was not read") && !log.contains("gps_"), "{log}");
        assert_eq!(installation.json(&["healthcheck"])["ready"], true);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(file(&installation).exists());
}

#[test]
fn on_a_terminal_the_secret_is_printed_and_goes_to_no_file() {
    if !Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("there is no script here: nothing is shown on a terminal");
        return;
    }
    let installation = TestInstallation::with_key();
    let id = installation.path().join("id");
    let serve = format!("echo $$ > {}; exec {} serve --listen 127.0.0.1:0", id.display(), GATEPASS);
    let mut script = Command::new("script");
    script.args(["-qec", &serve, "/dev/null"]).env("GATEPASS_DATA", installation.path());
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let said = lines_until(child.stdout.take().unwrap(), "listens on");
    // A terminal that goes away would be a SIGHUP, which ends no server.
    let id = fs::read_to_string(id).unwrap();
    assert!(Command::new("kill").arg(id.trim_end()).status().unwrap().success());
    child.wait().unwrap();
    assert_eq!(said.matches("gps_").count(), 1, "{said}");
    assert!(!file(&installation).exists());
}
