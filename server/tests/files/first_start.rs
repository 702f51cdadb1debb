//! A first start that is interrupted at any moment is done again.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{QUICK, Running, lapse, no_alarm};
use crate::installation::TestInstallation;

/// The files that a first start makes.
const MADE: &[&str] = &["gatepass.db", "gatepass.lock", "gatepass.witness", "master.key"];
/// The files after a first start and a server.
const SERVED: &[&str] =
    &["admin.secret", "gatepass.db", "gatepass.lock", "gatepass.reserve", "gatepass.witness", "master.key"];
/// A command that makes an installation, and does nothing else.
const MAKE: &[&str] = &["--init", "key", "generate", "--alg", "EdDSA", "--activate"];

/// Starts a server on what an interrupted start left. It serves, and no extra files remain.
fn the_next_start_serves(installation: &TestInstallation, what: &str) {
    // A key that is cheap to generate, by a command that is a start like any other.
    if !installation.path().join("gatepass.db").exists() {
        let made = installation.run(MAKE);
        assert!(made.status.success(), "{what}: {made:?} {:?}", names(installation));
    }
    let server = Running::try_start(installation, QUICK)
        .unwrap_or_else(|refused| panic!("{what}: {refused:?} {:?}", names(installation)));
    no_alarm(&server.stop());
    assert_eq!(names(installation), SERVED, "{what}");
    assert_eq!(installation.json(&["check"])["ok"], true, "{what}");
}

fn names(installation: &TestInstallation) -> Vec<String> {
    let names = fs::read_dir(installation.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

/// Starts `command` and kills it after `time`. Returns true if it was still running.
fn kill_after(installation: &TestInstallation, command: &[&str], time: Duration) -> bool {
    let mut child =
        installation.command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    lapse(time);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[test]
fn it_is_killed_at_many_moments() {
    let whole = TestInstallation::new();
    let began = Instant::now();
    whole.json(MAKE);
    let mut time = began.elapsed();
    let (mut kills, mut left) = (0, std::collections::BTreeMap::<String, u32>::new());
    for round in 0.. {
        if kills >= 60 {
            break;
        }
        assert!(round < 120, "{kills} kills");
        let installation = TestInstallation::new();
        // Repeatedly, in the same directory: a second interruption is no worse.
        for again in 0..3 {
            let command: &[&str] = if round % 2 == 0 { MAKE } else { &["serve", "--listen", "127.0.0.1:0"] };
            let inputs = time.mul_f64(f64::from((round + again * 5) % 40) / 20.0);
            let killed = kill_after(&installation, command, inputs);
            kills += u32::from(killed);
            if !killed {
                // The measurement came from a busy machine.
                time = time.mul_f64(0.9);
            }
            *left.entry(names(&installation).join(" ")).or_default() += 1;
        }
        // Half of them have no signing key yet. `serve` makes one, which takes time.
        if round % 8 == 1 {
            let server = Running::start(&installation, QUICK);
            no_alarm(&server.stop());
            assert_eq!(names(&installation), SERVED);
            continue;
        }
        if installation.path().join("gatepass.db").exists() {
            let made = installation.run(&MAKE[1..]);
            assert!(made.status.success(), "{made:?} {:?}", names(&installation));
        }
        the_next_start_serves(&installation, &format!("round {round}"));
    }
    println!("{kills} were killed before their end; they left:");
    for (names, count) in left {
        println!("{count:4} {names}");
    }
}

/// The system calls by which a start changes a directory.
const CALLS: &[&str] = &[
    "openat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "fsync",
    "fdatasync",
    "pwrite64",
    "ftruncate",
    "write",
    "mkdir",
];

#[test]
fn it_is_killed_at_every_call_that_changes_the_directory() {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        println!("there is no strace here: nothing is killed");
        return;
    }
    let mut kills = 0;
    // Every third call; each with `GATEPASS_KILLS`.
    let stride = if std::env::var_os("GATEPASS_KILLS").is_some() { 1 } else { 3 };
    for call in CALLS {
        // From the first call of its kind on, until one is past the end.
        for nth in (1..).step_by(stride) {
            let installation = TestInstallation::new();
            let command = installation.command(MAKE);
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(installation.path());
            strace.args([
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={call}:signal=KILL:when={nth}"),
            ]);
            for name in ["", ".new", ".new-wal", ".new-journal", "-wal"] {
                strace.arg("-P").arg(installation.path().join(format!("gatepass.db{name}")));
            }
            for name in [
                "gatepass.starting",
                "gatepass.witness",
                "gatepass.witness.new",
                "gatepass.lock",
                "master.key",
            ] {
                strace.arg("-P").arg(installation.path().join(name));
            }
            strace.arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => strace.env(name, value),
                    None => strace.env_remove(name),
                };
            }
            let output = strace.output().unwrap();
            if output.status.success() {
                break;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            if said.contains("invalid") || said.contains("ptrace") {
                println!("strace does not do {call} here: {said}");
                break;
            }
            kills += 1;
            let at = format!("killed at {call} number {nth}");
            let again = installation.run(&["--init", "user", "add", "alice"]);
            assert!(again.status.success(), "{at}: {again:?}");
            let names = names(&installation);
            assert_eq!(names, MADE, "{at}");
            assert_eq!(installation.json(&["check"])["ok"], true, "{at}");
            assert_eq!(installation.json(&["user", "list"]).as_array().unwrap().len(), 1, "{at}");
        }
    }
    println!("{kills} kills");
}

#[test]
fn two_first_starts_at_once_make_one_installation() {
    for _ in 0..6 {
        let installation = TestInstallation::new();
        let children: Vec<_> =
            (0..4).map(|_| installation.command(&[&["--json"], MAKE].concat()).spawn().unwrap()).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        assert_eq!(names(&installation), MADE);
        assert_eq!(installation.json(&["key", "list"]).as_array().unwrap().len(), 4);
        assert_eq!(installation.json(&["check"])["ok"], true);
    }
}
