//! The binary with its records in a database.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use gatepass_tests::http::TestRequest;
use gatepass_tests::server::{Running, TestInstallation};
use gatepass_tests::suite::SUITE;
use serde_json::json;

use crate::cluster::Fixture;

const BINARY: &str = env!("CARGO_BIN_EXE_gatepass");

/// The address at which all servers of one database are reached in these tests.
const ISSUER: [&str; 2] = ["--issuer", "http://gate.example"];

fn installation(fixture: &Fixture) -> TestInstallation {
    TestInstallation::in_database(Path::new(BINARY), fixture.url())
}

/// Runs a command that has to fail, and returns what it says.
fn refused(installation: &TestInstallation, arguments: &[&str]) -> String {
    let output = installation.run(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    said
}

#[test]
fn a_spent_ticket_stays_spent_over_restarts_and_for_a_second_process() {
    let fixture = Fixture::empty();
    let first = installation(&fixture);
    let server = first.serve(&ISSUER);
    first.populate();
    let tickets: Vec<String> = (0..3).map(|_| server.target().ticket(&json!({"user_id": "alice"}))).collect();
    assert_eq!(server.target().sign_in(&tickets[0]).status, 200);
    assert_eq!(server.target().sign_in(&tickets[0]).status, 400);
    let ready = server.target().ask(&TestRequest::new("GET", "/readyz"));
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")), "{}", ready.json());
    assert_eq!(first.json(&["healthcheck"])["ready"], json!(true));
    assert!(server.terminate());

    let server = first.serve(&ISSUER);
    assert_eq!(server.target().sign_in(&tickets[0]).status, 400);
    let second = installation(&fixture);
    fs::copy(first.path().join("master.key"), second.path().join("master.key")).unwrap();
    let other = second.serve(&ISSUER);
    for target in [other.target(), server.target()] {
        assert_eq!(target.sign_in(&tickets[0]).status, 400);
    }
    assert_eq!(other.target().sign_in(&tickets[1]).status, 200);
    assert_eq!(server.target().sign_in(&tickets[1]).status, 400);
    // What one process issues, the other knows.
    let token = server.target().sign_in(&tickets[2]).text("access_token");
    assert_eq!(TestRequest::new("GET", "/userinfo").bearer(&token).to(other.address).status, 200);
    assert!(other.terminate() && server.terminate());

    let checked = second.json(&["check"]);
    let expected = (&json!(true), &json!("postgresql"), &json!(fixture.url()));
    assert_eq!((&checked["ok"], &checked["engine"], &checked["database"]), expected, "{checked}");
    assert_eq!(first.json(&["audit", "verify"])["valid"], json!(true));
}

#[test]
fn the_binary_passes_the_suite() {
    let fixture = Fixture::empty();
    let installation = installation(&fixture);
    let server = installation.serve(&[]);
    installation.populate();
    for (name, test) in SUITE {
        println!("{name}");
        test(server.target());
    }
    assert_eq!(installation.json(&["audit", "verify"])["valid"], json!(true));
}

#[test]
fn nothing_is_begun_where_something_should_be() {
    let (fixture, empty) = (Fixture::empty(), Fixture::empty());
    let made = installation(&fixture);
    assert!(refused(&made, &["user", "list"]).contains("there is no installation in postgres://"));
    made.json(&["--init", "user", "add", "alice"]);

    let without_key = installation(&fixture);
    for arguments in [&["serve"][..], &["user", "list"], &["--init", "user", "add", "bob"]] {
        let said = refused(&without_key, arguments);
        assert!(said.contains("master.key") && said.contains("copy that file"), "{said}");
    }
    assert_eq!(fs::read_dir(without_key.path()).unwrap().count(), 0, "nothing was made");
    let wrong_key = TestInstallation::in_database(Path::new(BINARY), empty.url());
    wrong_key.json(&["--init", "user", "add", "bob"]);
    fs::copy(wrong_key.path().join("master.key"), without_key.path().join("master.key")).unwrap();
    assert!(refused(&without_key, &["serve"]).contains("is not the one"));

    // The right key, and a database that is not the one it belongs to.
    let elsewhere = Fixture::empty();
    let mut command = made.command(&["serve"]);
    let output = command.env("GATEPASS_STORE", elsewhere.url()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("name its database with `store`"), "{said}");
    let output =
        made.command(&["--init", "user", "add", "bob"]).env_remove("GATEPASS_STORE").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("are in {}: name it with `store`", fixture.url())), "{said}");
    assert!(!made.path().join("gatepass.db").exists());
}

/// The second did not know of the first one's generations, and was refused by the database with each commit that made one.
#[test]
fn two_servers_on_one_directory_make_state_generations_in_turn() {
    let fixture = Fixture::empty();
    let installation = installation(&fixture);
    let servers = [installation.serve(&ISSUER), installation.serve(&ISSUER)];
    installation.populate();
    let made = || fixture.sql("SELECT count(*) FROM generations").trim().parse::<u32>().unwrap();
    let begin = made();
    while made() < begin + 5 {
        for server in &servers {
            // Any answer but a ticket fails the test.
            server.target().ticket(&json!({"user_id": "alice"}));
        }
    }
}

#[test]
fn telephone_numbers_are_compared_by_the_country_of_the_last_start() {
    let fixture = Fixture::empty();
    let installation = installation(&fixture);
    installation.json(&["--init", "user", "add", "alice", "--phone", "+44 20 7946 0000"]);
    // It is the same number with that country alone.
    let add = |name: &str| installation.run(&["user", "add", name, "--phone", "020 7946 0000"]);
    let start = |arguments: &[&str]| assert!(installation.serve(arguments).terminate());
    start(&["--phone-country", "44"]);
    assert!(!add("bob").status.success());
    start(&[]);
    assert!(add("bob").status.success());
    start(&["--phone-country", "44"]);
    installation.json(&["user", "set", "bob", "--phone", "020 7946 0001"]);
    assert!(!add("carol").status.success());
}

#[test]
fn commands_on_the_file_of_sqlite_say_what_to_use_instead() {
    let fixture = Fixture::empty();
    let installation = installation(&fixture);
    installation.json(&["--init", "user", "add", "alice"]);
    for (arguments, told) in [
        (&["backup", "x"][..], "pg_dump"),
        (&["restore", "x"], "pg_dump"),
        (&["restore", "--accept"], "pg_dump"),
    ] {
        let said = refused(&installation, arguments);
        assert!(said.contains(told) && said.contains(&fixture.url()), "{arguments:?}: {said}");
    }
}

#[test]
fn every_command_takes_the_address_by_a_flag() {
    let fixture = Fixture::empty();
    let url = fixture.url();
    let installation = installation(&fixture);
    let run = |arguments: &[&str]| {
        let output = installation.command(arguments).env_remove("GATEPASS_STORE").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["--store", &url, "--init", "user", "add", "alice"]);
    for arguments in [
        &["user", "show", "alice", "--store", &url][..],
        &["audit", "verify", "--store", &url],
        &["check", "--store", &url],
        &["--store", &url, "config", "check"],
        &["key", "rotate-master", "--store", &url],
    ] {
        run(arguments);
    }
    assert!(run(&["config", "show", "--store", &url]).contains(&format!("{url}  --store")));
    let mut serve = installation.command(&["--store", &url, "--json", "serve", "--listen", "127.0.0.1:0"]);
    serve.env_remove("GATEPASS_STORE");
    assert!(Running::start(serve, Stdio::null()).terminate());
    assert!(!installation.path().join("gatepass.db").exists());
}

#[test]
fn an_address_that_is_refused_or_not_reached_is_told_in_one_line() {
    let fixture = Fixture::empty();
    let installation = installation(&fixture);
    for (address, code, told) in [
        ("mysql://db/gatepass", 2, "--store: this is not the address of a database"),
        ("postgres://db/gatepass", 2, "--store: the certificate of the database has to be verified"),
        ("postgres://%2Fnowhere/gatepass", 1, "postgres://%2Fnowhere/gatepass: error connecting to server"),
    ] {
        for arguments in [&["serve", "--store", address][..], &["user", "list", "--store", address]] {
            let output = installation.run(arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.starts_with(&format!("gatepass: {told}")), "{said}");
            assert!(said.lines().count() == 1 && !said.contains("Usage"), "{said}");
        }
    }
}

#[test]
fn a_bad_address_is_refused_without_its_password() {
    let fixture = Fixture::empty();
    let installation = installation(&fixture);
    let bad = "postgres://gatepass:hunter2@db/gatepass";
    let run = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("store_password_file") && !said.contains("hunter2"), "{said}");
    };
    run(&mut installation.command(&["serve", "--store", bad]));
    run(&mut installation.command(&["user", "list", "--store", bad]));
    run(&mut installation.command(&["store", "copy", "--from", ".", "--to", bad]));
    run(&mut installation.command(&["store", "copy", "--to", ".", "--from", bad]));
    run(&mut installation.command(&["handover", "cancel", "--of", bad]));
    run(installation.command(&["serve"]).env("GATEPASS_STORE", bad));
    fs::write(installation.path().join("gatepass.toml"), format!("store = {bad:?}")).unwrap();
    run(installation.command(&["user", "list"]).env_remove("GATEPASS_STORE"));
    fs::remove_file(installation.path().join("gatepass.toml")).unwrap();
    let mut show = installation.command(&["--json", "config", "show"]);
    let output = show.env("GATEPASS_STORE_PASSWORD", "hunter2").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains(&fixture.url()) && !shown.contains("hunter2"), "{shown}");
}
