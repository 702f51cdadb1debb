//! `audit list --follow`: new rows as they come, and a clean end.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::installation::TestInstallation;

struct Following {
    child: Child,
    rows: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(installation: &TestInstallation, more: &[&str]) -> Self {
        let arguments = [&["--json", "audit", "list", "--follow"], more].concat();
        let mut child = installation.command(&arguments).spawn().unwrap();
        let rows = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, rows }
    }

    /// Returns the kind of the next row, and waits for it.
    fn next(&mut self) -> String {
        let line = self.rows.next().unwrap().unwrap();
        let row: Value = serde_json::from_str(&line).unwrap();
        row["kind"].as_str().unwrap().to_owned()
    }
}

#[test]
fn rows_come_as_they_are_written_until_a_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let installation = TestInstallation::with_key();
        installation.json(&["user", "add", "alice"]);
        let mut following = Following::start(&installation, &["--limit", "1"]);
        assert_eq!(following.next(), "user.added");
        for (command, kind) in [("disable", "user.disabled"), ("enable", "user.enabled")] {
            installation.json(&["user", command, "alice"]);
            assert_eq!(following.next(), kind);
        }
        kill_process(Pid::from_child(&following.child), signal).unwrap();
        assert_eq!(following.child.wait().unwrap().code(), Some(0));
        assert!(following.rows.next().is_none());
    }
}

#[test]
fn only_what_is_asked_for_comes() {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "alice"]);
    let mut following = Following::start(&installation, &["--kind", "user.enabled", "--kind", "user.added"]);
    assert_eq!(following.next(), "user.added");
    installation.json(&["user", "disable", "alice"]);
    installation.json(&["user", "enable", "alice"]);
    assert_eq!(following.next(), "user.enabled");
    kill_process(Pid::from_child(&following.child), Signal::INT).unwrap();
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
}

/// Without a new row, too.
#[test]
fn it_ends_when_nobody_reads_any_more() {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "alice"]);
    let Following { mut child, mut rows } = Following::start(&installation, &[]);
    assert!(rows.next().is_some());
    drop(rows);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
