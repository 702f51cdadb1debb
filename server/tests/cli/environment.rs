//! Variables of the environment, by the real binary.

use std::fs;

use serde_json::json;

use crate::installation::{TestInstallation, read, told};

#[test]
fn an_empty_variable_counts_as_absent() {
    let installation = TestInstallation::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = installation.command(arguments);
        let empty = ["GATEPASS_DATA", "GATEPASS_CONFIG", "GATEPASS_MASTER_KEY_FILE", "GATEPASS_LISEN"];
        command.current_dir(elsewhere.path()).envs(empty.map(|name| (name, ""))).output().unwrap()
    };
    assert_eq!(run(&["--init", "user", "add", "alice"]).status.code(), Some(0));
    assert!(elsewhere.path().join("gatepass-data/gatepass.db").exists());
    let listed = read(&[], &run(&["--json", "user", "list"]), 0);
    assert_eq!(listed[0]["username"], "alice");
    assert_eq!(fs::read_dir(installation.path()).unwrap().count(), 0);
}

#[test]
fn a_misspelt_variable_is_refused_and_a_strange_one_is_told() {
    let installation = TestInstallation::with_key();
    for (name, meant) in [("GATEPASS_LISEN", "GATEPASS_LISTEN"), ("GATEPASS_DATTA", "GATEPASS_DATA")] {
        for arguments in [&["user", "list"][..], &["serve", "--listen", "127.0.0.1:0"], &["check"]] {
            let (code, said) = told(&installation.command(arguments).env(name, "x").output().unwrap());
            assert!(code == 2 && said.contains(name) && said.contains(meant), "{arguments:?}: {said}");
        }
    }
    let list = ["--json", "user", "list"];
    let strange = installation.command(&list).env("GATEPASS_SERVICE_HOST", "10.0.0.1").output().unwrap();
    assert_eq!((read(&list, &strange, 0), &*strange.stderr), (json!([]), &b""[..]));

    let log = installation.path().join("log");
    let mut serve = installation.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    serve.env("GATEPASS_SERVICE_HOST", "10.0.0.1").stderr(fs::File::create(&log).unwrap());
    assert_eq!(crate::installation::Server::start(serve).end(), Some(0));
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(said.matches("GATEPASS_SERVICE_HOST").count(), 1, "{said}");
}
