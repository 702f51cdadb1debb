//! A first start that is cut short at any moment is done again.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{QUICK, Running, lapse, no_alarm};
use crate::site::Site;

/// What a first start makes, and no more.
const MADE: &[&str] = &["gatepass.db", "gatepass.lock", "gatepass.witness", "master.key"];
/// The same, and what a server adds.
const SERVED: &[&str] =
    &["gatepass.db", "gatepass.lock", "gatepass.reserve", "gatepass.witness", "master.key"];
/// What makes an installation, and goes no further.
const MAKE: &[&str] = &["--init", "key", "generate", "--alg", "EdDSA", "--activate"];

/// Starts a server on what a cut start left: it serves, and nothing is left over.
fn the_next_start_serves(site: &Site, what: &str) {
    // A key that is quickly made, by a command that is a start like any other.
    if !site.path().join("gatepass.db").exists() {
        let made = site.run(MAKE);
        assert!(made.status.success(), "{what}: {made:?} {:?}", names(site));
    }
    let server = Running::try_start(site, QUICK)
        .unwrap_or_else(|refused| panic!("{what}: {refused:?} {:?}", names(site)));
    no_alarm(&server.stop());
    assert_eq!(names(site), SERVED, "{what}");
    assert_eq!(site.json(&["check"])["ok"], true, "{what}");
}

fn names(site: &Site) -> Vec<String> {
    let names =
        fs::read_dir(site.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

/// Starts `command` and kills it after `time`. Returns whether it was still running.
fn kill_after(site: &Site, command: &[&str], time: Duration) -> bool {
    let mut child = site.command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    lapse(time);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[test]
fn it_is_killed_at_many_moments() {
    let whole = Site::new();
    let began = Instant::now();
    whole.json(MAKE);
    let mut time = began.elapsed();
    let (mut kills, mut left) = (0, std::collections::BTreeMap::<String, u32>::new());
    for round in 0.. {
        if kills >= 60 {
            break;
        }
        assert!(round < 120, "{kills} kills");
        let site = Site::new();
        // Again and again, in the same directory: what a second cut leaves is no worse.
        for again in 0..3 {
            let command: &[&str] = if round % 2 == 0 { MAKE } else { &["serve", "--listen", "127.0.0.1:0"] };
            let inputs = time.mul_f64(f64::from((round + again * 5) % 40) / 20.0);
            let killed = kill_after(&site, command, inputs);
            kills += u32::from(killed);
            if !killed {
                // It was measured while the machine was busy.
                time = time.mul_f64(0.9);
            }
            *left.entry(names(&site).join(" ")).or_default() += 1;
        }
        // Half of them have no key that signs so far; `serve` makes one, which takes its time.
        if round % 8 == 1 {
            let server = Running::start(&site, QUICK);
            no_alarm(&server.stop());
            assert_eq!(names(&site), SERVED);
            continue;
        }
        if site.path().join("gatepass.db").exists() {
            let made = site.run(&MAKE[1..]);
            assert!(made.status.success(), "{made:?} {:?}", names(&site));
        }
        the_next_start_serves(&site, &format!("round {round}"));
    }
    println!("{kills} were killed before their end; they left:");
    for (names, count) in left {
        println!("{count:4} {names}");
    }
}

/// The calls to the system by which a start changes a directory.
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
    for call in CALLS {
        // From the first of its kind on, until one is past the end.
        for nth in 1.. {
            let site = Site::new();
            let command = site.command(MAKE);
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(site.path());
            strace.args([
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={call}:signal=KILL:when={nth}"),
            ]);
            for name in ["", ".new", ".new-wal", ".new-journal", "-wal"] {
                strace.arg("-P").arg(site.path().join(format!("gatepass.db{name}")));
            }
            for name in [
                "gatepass.starting",
                "gatepass.witness",
                "gatepass.witness.new",
                "gatepass.lock",
                "master.key",
            ] {
                strace.arg("-P").arg(site.path().join(name));
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
            let again = site.run(&["--init", "user", "add", "alice"]);
            assert!(again.status.success(), "{at}: {again:?}");
            let names = names(&site);
            assert_eq!(names, MADE, "{at}");
            assert_eq!(site.json(&["check"])["ok"], true, "{at}");
            assert_eq!(site.json(&["user", "list"]).as_array().unwrap().len(), 1, "{at}");
        }
    }
    println!("{kills} kills");
}

#[test]
fn two_first_starts_at_once_make_one_installation() {
    for _ in 0..6 {
        let site = Site::new();
        let children: Vec<_> =
            (0..4).map(|_| site.command(&[&["--json"], MAKE].concat()).spawn().unwrap()).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        assert_eq!(names(&site), MADE);
        assert_eq!(site.json(&["key", "list"]).as_array().unwrap().len(), 4);
        assert_eq!(site.json(&["check"])["ok"], true);
    }
}
