//! Secrets that are printed once, to an output that takes none: the command says what it did, and how to go on. And the bar that a
//! terminal shows.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::process::{Command, Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

use crate::installation::{TestInstallation, read, told};

/// Outputs that nobody can read a secret from.
const OUTPUTS: [&str; 3] = ["a full disk", "a closed pipe", "no output at all"];

fn run_to(installation: &TestInstallation, output: &str, arguments: &[&str]) -> Output {
    let mut command = installation.command(arguments);
    match output {
        "a full disk" => {
            let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            command.stdout(full).output().unwrap()
        }
        "a closed pipe" => {
            let mut child = command.spawn().unwrap();
            drop(child.stdout.take());
            child.wait_with_output().unwrap()
        }
        _ => {
            let mut shell = Command::new("sh");
            shell.args(["-c", r#"exec "$0" "$@" >&-"#]).arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => shell.env(name, value),
                    None => shell.env_remove(name),
                };
            }
            shell.stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap()
        }
    }
}

fn secrets(installation: &TestInstallation, client: &str) -> Vec<Value> {
    let shown = installation.json(&["client", "show", client]);
    shown["secrets"].as_array().unwrap().iter().map(|secret| secret["expires_at"].clone()).collect()
}

#[test]
fn a_secret_that_was_not_printed_is_told() {
    let installation = TestInstallation::with_key();
    ["alice", "bob"].iter().for_each(|user| drop(installation.json(&["user", "add", user])));
    for output in OUTPUTS {
        for json in [&[][..], &["--json"]] {
            for (arguments, way_on) in [
                (&["client", "add", "svc"][..], "`gatepass client rotate-secret svc`"),
                (&["ticket", "issue", "--user", "alice"], "`gatepass ticket revoke tid_"),
                (&["user", "totp", "bob"], "`gatepass user totp bob`"),
            ] {
                let (code, said) = told(&run_to(&installation, output, &[json, arguments].concat()));
                assert_eq!(code, 1, "{output} {arguments:?}: {said}");
                for part in [way_on, "nobody has seen", "(not printed: "] {
                    assert!(said.contains(part), "{output} {arguments:?}: {said}");
                }
            }
            installation.json(&["client", "delete", "svc"]);
        }
    }
}

#[test]
fn the_former_secret_stays_good_until_the_new_one_was_printed() {
    let installation = TestInstallation::with_key();
    installation.json(&["client", "add", "svc"]);
    for output in OUTPUTS {
        for overlap in ["0", "60"] {
            let rotate = ["client", "rotate-secret", "svc", "--overlap", overlap];
            let (code, said) = told(&run_to(&installation, output, &rotate));
            assert!(code == 1 && said.contains("as good as before"), "{output}: {said}");
            assert_eq!(secrets(&installation, "svc"), [Value::Null, Value::Null], "{output}");
            installation.json(&["client", "rotate-secret", "svc"]);
            assert_eq!(secrets(&installation, "svc"), [Value::Null], "{output}");
        }
    }
}

#[test]
fn a_client_with_as_many_secrets_as_it_may_have_gets_another_at_once() {
    let installation = TestInstallation::with_key();
    installation.json(&["client", "add", "svc"]);
    for _ in 1..8 {
        installation.json(&["client", "rotate-secret", "svc", "--overlap", "600"]);
    }
    let (code, said) = installation.refused(&["client", "rotate-secret", "svc", "--overlap", "600"]);
    assert!(code == 1 && said.contains("8 live secrets"), "{said}");
    assert_eq!(secrets(&installation, "svc").len(), 8);
    installation.json(&["client", "rotate-secret", "svc"]);
    assert_eq!(secrets(&installation, "svc"), [Value::Null]);
}

#[test]
fn an_output_that_is_thrown_away_on_purpose_is_no_failure() {
    let installation = TestInstallation::with_key();
    let mut add = installation.command(&["client", "add", "svc"]);
    let output = add.stdout(OpenOptions::new().write(true).open("/dev/null").unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let again = ["--json", "client", "rotate-secret", "svc"];
    let read = read(&again, &installation.run(&again), 0);
    assert_eq!((&read["client_id"], read["client_secret"].is_string()), (&json!("svc"), true));
}

#[test]
fn a_change_whose_result_was_not_printed_is_told_to_be_made() {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "alice"]);
    let (code, said) = told(&run_to(&installation, "a full disk", &["user", "disable", "alice"]));
    assert!(code == 1 && said.contains("was carried out"), "{said}");
    assert_eq!(installation.json(&["user", "show", "alice"])["status"], "disabled");
    let (code, said) = told(&run_to(&installation, "a full disk", &["user", "list"]));
    assert!(code == 1 && said.contains("cannot print") && !said.contains("carried out"), "{said}");
}

/// Runs a command whose stderr is a terminal of `columns` and of type `term`, and returns what it wrote there.
fn on_terminal(installation: &TestInstallation, columns: u16, term: &str, arguments: &[&str]) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let terminal = openpt(flags).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let stderr = ioctl_tiocgptpeer(&terminal, flags).unwrap();
    let mut command = installation.command(arguments);
    command.env("TERM", term).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    let mut child = command.spawn().unwrap();
    // Nobody else has the terminal open once the child is gone: reading it fails then.
    drop(command);
    let mut said = Vec::new();
    let _ = File::from(terminal).read_to_end(&mut said);
    child.wait().unwrap();
    String::from_utf8(said).unwrap()
}

#[test]
fn a_bar_is_as_wide_as_its_terminal_and_gone_at_the_end() {
    const CLEAR: &str = "\r\u{1b}[K";
    let installation = TestInstallation::with_key();
    let file = installation.path().join("people.jsonl");
    fs::write(&file, "{\"username\": \"alice\"}\n".repeat(2)).unwrap();
    let import = ["user", "import", file.to_str().unwrap()];
    for (columns, term, json, is_drawn) in [
        (80, "xterm", false, true),
        (30, "xterm", false, true),
        (0, "xterm", false, true),
        (24, "xterm", false, false),
        (80, "dumb", false, false),
        (80, "xterm", true, false),
    ] {
        let case = format!("{columns} {term} {json}");
        let arguments = if json { [&["--json"], &import[..]].concat() } else { import.to_vec() };
        let said = on_terminal(&installation, columns, term, &arguments);
        let (drawn, message) = said.rsplit_once(CLEAR).unwrap_or(("", &said));
        assert!(message.starts_with("gatepass: nothing of 2 lines was imported"), "{case}: {said:?}");
        assert_eq!(drawn.contains("checking   ["), is_drawn, "{case}: {said:?}");
        let columns = if columns == 0 { 80 } else { usize::from(columns) };
        assert!(drawn.split(CLEAR).all(|line| line.len() < columns), "{case}: {said:?}");
    }
}
