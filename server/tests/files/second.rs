//! No second installation by accident: commands and servers that are started in the wrong directory.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::harness::{QUICK, Running, Snapshot, text};
use crate::installation::{TestInstallation, told};

/// Runs a command without any name of a data directory, in `place`.
fn run_in(installation: &TestInstallation, place: &Path, arguments: &[&str]) -> Output {
    let mut command = installation.command(arguments);
    command.env_remove("GATEPASS_DATA").current_dir(place).output().unwrap()
}

/// Makes a directory with an installation in `gatepass-data`.
fn with_data_below() -> TestInstallation {
    let outer = TestInstallation::new();
    let made = run_in(&outer, outer.path(), &["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    assert!(made.status.success(), "{made:?}");
    outer
}

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];
const COMMANDS: [&[&str]; 4] = [&["user", "list"], &["user", "add", "eve"], &["healthcheck"], SERVE];

#[test]
fn who_stands_in_the_data_directory_is_told_so() {
    let outer = with_data_below();
    let data = outer.path().join("gatepass-data");
    let before = Snapshot::of(&data);
    for command in COMMANDS {
        let (code, said) = told(&run_in(&outer, &data, command));
        let way_out = format!("--data {}", text(&data));
        assert!(code == 1 && said.contains(&way_out), "{command:?}: {said}");
        assert!(said.contains(text(&data.join("gatepass-data"))), "where it looked: {said}");
        before.holds(&data, &format!("{command:?}"));
    }
}

#[test]
fn who_names_the_directory_above_is_told_so() {
    let outer = with_data_below();
    for command in COMMANDS {
        let (code, said) = outer.refused(command);
        let way_out = format!("--data {}", text(&outer.path().join("gatepass-data")));
        assert!(code == 1 && said.contains(&way_out), "{command:?}: {said}");
    }
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1, "nothing was made");
    let said = outer.no(&["check"]).to_string();
    assert!(said.contains("gatepass-data") && said.contains("--data"), "{said}");
}

#[test]
fn a_second_one_is_made_where_it_is_told() {
    let outer = with_data_below();
    let made = outer.run(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    assert!(made.status.success(), "{made:?}");
    assert!(outer.path().join("gatepass.db").exists());
}

#[test]
fn another_directory_with_a_relative_path_has_no_installation() {
    let (outer, elsewhere) = (with_data_below(), TestInstallation::new());
    assert!(run_in(&outer, outer.path(), &["user", "list"]).status.success());
    let (code, said) = told(&run_in(&outer, elsewhere.path(), &["user", "list"]));
    assert!(code == 1 && said.contains(text(&elsewhere.path().join("gatepass-data"))), "{said}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn files_of_others_are_no_installation_and_stay_as_they_are() {
    let installation = TestInstallation::new();
    let (notes, toml) = (installation.path().join("notes.txt"), installation.path().join("gatepass.toml"));
    fs::write(&notes, "mine").unwrap();
    fs::write(&toml, "tenant = \"a\"").unwrap();
    for command in [&["user", "list"][..], &["user", "add", "eve"], &["healthcheck"]] {
        let (code, said) = installation.refused(command);
        assert!(code == 1 && said.contains("gatepass serve"), "{command:?}: {said}");
    }
    assert_eq!(fs::read_dir(installation.path()).unwrap().count(), 2);
    drop(Running::start(&installation, QUICK));
    assert_eq!(fs::read(&notes).unwrap(), b"mine");
    assert!(installation.run(&["user", "list"]).status.success());
}
