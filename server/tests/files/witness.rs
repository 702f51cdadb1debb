//! The witness: a start that cannot read it, and a running server that loses it.

use std::fs::{self, rename};
use std::path::PathBuf;

use gatepass_tests::rng::{Rng, number};
use tempfile::TempDir;

use crate::harness::{
    QUICK, Running, SLOW, all_refuse, aside, below, installation, no_alarm, poll, serves_well, text,
    until_generation,
};
use crate::installation::TestInstallation;

/// An installation with its witness in a directory of its own.
struct InstallationWithWitness {
    installation: TestInstallation,
    elsewhere: TempDir,
}

impl InstallationWithWitness {
    fn new() -> Self {
        let (installation, elsewhere) = (installation(), aside());
        fs::create_dir(elsewhere.path().join("share")).unwrap();
        let place = Self { installation, elsewhere };
        rename(place.installation.path().join("gatepass.witness"), place.witness()).unwrap();
        let settings = format!("witness_file = {:?}\n", place.witness());
        fs::write(place.installation.path().join("gatepass.toml"), settings).unwrap();
        place
    }

    fn share(&self) -> PathBuf {
        below(&self.elsewhere, "share")
    }

    fn witness(&self) -> PathBuf {
        self.share().join("witness")
    }

    fn aside(&self) -> PathBuf {
        below(&self.elsewhere, "aside")
    }
}

#[test]
fn a_start_that_cannot_ask_the_witness_is_refused_and_both_ways_out_are_told() {
    type Operation = fn(&InstallationWithWitness);
    let cases: &[(Operation, Operation)] = &[
        // The share is not mounted.
        (
            |place| rename(place.share(), place.aside()).unwrap(),
            |place| rename(place.aside(), place.share()).unwrap(),
        ),
        // Something else is mounted there.
        (
            |place| {
                rename(place.share(), place.aside()).unwrap();
                fs::write(place.share(), "").unwrap();
            },
            |place| {
                fs::remove_file(place.share()).unwrap();
                rename(place.aside(), place.share()).unwrap();
            },
        ),
        // It is a directory; it is empty; it is cut in half; it is something else.
        (
            |place| {
                rename(place.witness(), place.aside()).unwrap();
                fs::create_dir(place.witness()).unwrap();
            },
            |place| {
                fs::remove_dir(place.witness()).unwrap();
                rename(place.aside(), place.witness()).unwrap();
            },
        ),
        (|place| spoil(place, |_| Vec::new()), mend),
        (|place| spoil(place, |bytes| bytes[..bytes.len() / 2].to_vec()), mend),
        (|place| spoil(place, |bytes| bytes.repeat(100)), mend),
        (|place| spoil(place, |_| b"{}".to_vec()), mend),
    ];
    for (spoil, mend) in cases {
        let place = InstallationWithWitness::new();
        let server = serves_well(&place.installation, QUICK);
        let (session, ticket) = (server.session(), server.ticket());
        server.stop();
        spoil(&place);
        // A command that reads needs no witness.
        assert_eq!(place.installation.json(&["user", "list"]).as_array().unwrap().len(), 1);
        let before = crate::harness::Snapshot::of(place.installation.path());
        let said = crate::harness::refused_start(&place.installation, QUICK);
        assert!(
            said.contains(text(&place.witness())) && said.contains("mend") && said.contains("remove"),
            "{said}"
        );
        before.holds(place.installation.path(), "serve");
        let (code, said) = place.installation.refused(&["user", "add", "eve"]);
        assert!(code == 1 && said.contains("mend") && said.contains("remove"), "{said}");
        before.holds(place.installation.path(), "a command");
        let report = place.installation.no(&["check"]);
        assert!(report["findings"].to_string().contains("witness-unreadable"), "{report}");
        before.holds(place.installation.path(), "check");
        mend(&place);
        let server = serves_well(&place.installation, QUICK);
        assert_eq!(server.redeem(&session.ticket).status, 400);
        assert_eq!(server.redeem(&ticket).status, 200);
        no_alarm(&server.stop());
    }
}

fn spoil(place: &InstallationWithWitness, change: fn(Vec<u8>) -> Vec<u8>) {
    fs::copy(place.witness(), place.aside()).unwrap();
    fs::write(place.witness(), change(fs::read(place.witness()).unwrap())).unwrap();
}

fn mend(place: &InstallationWithWitness) {
    rename(place.aside(), place.witness()).unwrap();
}

#[test]
fn a_server_whose_witness_goes_away_serves_on_and_a_restart_raises_no_alarm() {
    for replaced_by_a_file in [false, true] {
        for killed in [false, true] {
            let place = InstallationWithWitness::new();
            let server = serves_well(&place.installation, QUICK);
            let session = server.session();
            rename(place.share(), place.aside()).unwrap();
            if replaced_by_a_file {
                fs::write(place.share(), "").unwrap();
            }
            let ticket = server.ticket();
            poll("it warns", || server.log().contains("\"level\":\"WARN\"").then_some(()));
            // The server goes on, however much is written meanwhile. So do commands beside it.
            let sessions: Vec<_> = (0..8).map(|_| server.session()).collect();
            let output = place.installation.run(&["user", "add", "bob"]);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(server.redeem(&ticket).status, 200);
            assert_eq!(server.readiness(), 200);
            assert!(!server.log().contains("\"level\":\"ERROR\""), "{}", server.log());

            let back = || {
                let _ = fs::remove_file(place.share());
                rename(place.aside(), place.share()).unwrap();
            };
            if killed {
                server.kill();
                back();
            } else {
                back();
                let _ = server.session();
                poll("it writes the witness again", || {
                    server.log().contains("can be changed again").then_some(())
                });
                no_alarm(&server.stop());
            }
            let server = serves_well(&place.installation, QUICK);
            assert_eq!(server.redeem(&ticket).status, 400);
            for session in sessions.iter().chain([&session]) {
                assert_eq!(server.redeem(&session.ticket).status, 400);
                assert_eq!(server.refresh(&session.refresh).status, 200);
            }
            no_alarm(&server.stop());
            assert_eq!(place.installation.json(&["check"])["ok"], true);
        }
    }
}

#[test]
fn a_stop_without_the_witness_raises_no_alarm_at_the_next_start() {
    let place = InstallationWithWitness::new();
    let server = serves_well(&place.installation, QUICK);
    let session = server.session();
    rename(place.share(), place.aside()).unwrap();
    let ticket = server.ticket();
    let log = server.stop();
    assert!(log.contains("\"level\":\"WARN\""), "{log}");
    rename(place.aside(), place.share()).unwrap();
    let server = serves_well(&place.installation, QUICK);
    assert_eq!(server.redeem(&ticket).status, 200);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    no_alarm(&server.stop());
}

#[test]
fn a_witness_that_is_removed_under_a_server_is_written_anew() {
    let place = InstallationWithWitness::new();
    let server = serves_well(&place.installation, QUICK);
    let session = server.session();
    poll("the log is empty", || {
        (crate::harness::size(&place.installation.path().join("gatepass.db-wal")).unwrap_or(0) == 0)
            .then_some(())
    });
    fs::remove_file(place.witness()).unwrap();
    let ticket = server.ticket();
    poll("it is there again", || place.witness().exists().then_some(()));
    server.kill();
    let server = serves_well(&place.installation, QUICK);
    assert_eq!(server.redeem(&ticket).status, 200);
    assert_eq!(server.redeem(&session.ticket).status, 400);
    no_alarm(&server.stop());
}

#[test]
fn a_stopped_installation_without_its_witness_counts_as_older() {
    let place = InstallationWithWitness::new();
    let server = serves_well(&place.installation, QUICK);
    let (session, ticket) = (server.session(), server.ticket());
    server.stop();
    fs::remove_file(place.witness()).unwrap();
    let server = Running::start(&place.installation, QUICK);
    let log = server.log();
    assert!(
        log.contains("\"level\":\"ERROR\"") && log.contains("older than those that were served last"),
        "{log}"
    );
    let kinds = place.installation.json(&["audit", "list"]).to_string();
    assert!(kinds.contains("state.superseded"), "{kinds}");
    let statuses = [server.redeem(&ticket).status, server.refresh(&session.refresh).status];
    server.stop();
    no_alarm(&serves_well(&place.installation, QUICK).stop());
    assert!(
        statuses.iter().all(|status| *status == 400 || *status == 401),
        "issued before, and good: {statuses:?}"
    );
}

#[test]
fn a_witness_of_another_installation_is_refused() {
    let (place, other) = (InstallationWithWitness::new(), InstallationWithWitness::new());
    fs::copy(other.witness(), place.witness()).unwrap();
    let said = crate::harness::refused_start(&place.installation, QUICK);
    assert!(said.contains("another installation") && said.contains("witness_file"), "{said}");
}

#[test]
fn a_witness_that_was_moved_is_named() {
    let installation = installation();
    no_alarm(&serves_well(&installation, QUICK).stop());
    let elsewhere = aside();
    let to = below(&elsewhere, "witness");
    rename(installation.path().join("gatepass.witness"), &to).unwrap();
    no_alarm(&serves_well(&installation, &[QUICK, &["--witness-file", text(&to)]].concat()).stop());
    assert!(to.exists() && !installation.path().join("gatepass.witness").exists());
}

#[test]
fn a_command_that_is_not_told_of_the_witness_raises_no_alarm() {
    let (installation, elsewhere) = (installation(), aside());
    let witness = below(&elsewhere, "witness");
    rename(installation.path().join("gatepass.witness"), &witness).unwrap();
    let settings = [QUICK, &["--witness-file", text(&witness)]].concat();
    let server = serves_well(&installation, &settings);
    let (ticket, session) = (server.ticket(), server.session());
    for name in ["eve", "mallory"] {
        let output = installation.run(&["user", "add", name]);
        assert!(output.status.success(), "{output:?}");
    }
    // Nor does one with another witness path.
    let output = installation.command(&["user", "add", "trudy"]);
    let output = { output }.env("GATEPASS_WITNESS_FILE", below(&elsewhere, "nowhere")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.redeem(&ticket).status, 200);
    no_alarm(&server.stop());
    let output = installation.run(&["user", "add", "alone"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(!installation.path().join("gatepass.witness").exists());
    let server = serves_well(&installation, &settings);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    no_alarm(&server.stop());
}

#[test]
fn two_servers_and_commands_started_and_killed_at_random_raise_no_alarm() {
    let rounds = number("GATEPASS_ROUNDS", 120);
    let seed = number("GATEPASS_SEED", u64::from(std::process::id()));
    println!("GATEPASS_SEED={seed} GATEPASS_ROUNDS={rounds}");
    let mut rng = Rng::new(seed);
    let installation = installation();
    let (mut servers, mut open, mut spent) = ([None, None], Vec::new(), Vec::new());
    let (mut redeemed, mut kills, mut logs) = (0, 0, Vec::new());
    for _ in 0..rounds {
        let which = usize::from(rng.one_in(2));
        let seat: &mut Option<Running> = &mut servers[which];
        match (seat.take(), rng.below(10)) {
            (None, _) => {
                *seat = Some(Running::start(&installation, if rng.one_in(3) { SLOW } else { QUICK }))
            }
            (Some(server), 0..2) => {
                logs.push(server.log());
                server.kill();
                kills += 1;
            }
            (Some(server), 2) => logs.push(server.stop()),
            (Some(server), 3) => {
                // Killed during a start, beside the other server or alone.
                logs.push(server.log());
                server.kill();
                let mut child = installation.command(&["serve", "--listen", "127.0.0.1:0"]).spawn().unwrap();
                crate::harness::lapse(std::time::Duration::from_millis(rng.below(40)));
                child.kill().unwrap();
                let output = child.wait_with_output().unwrap();
                logs.push(String::from_utf8_lossy(&output.stderr).into_owned());
                kills += 2;
            }
            (Some(server), 4) => {
                let mut child = installation
                    .command(&["user", "set", "alice", "--name", &rng.next_u64().to_string()])
                    .spawn()
                    .unwrap();
                crate::harness::lapse(std::time::Duration::from_millis(rng.below(40)));
                child.kill().unwrap();
                let output = child.wait_with_output().unwrap();
                logs.push(String::from_utf8_lossy(&output.stderr).into_owned());
                *seat = Some(server);
            }
            (Some(server), 5) => {
                let issued = installation.run(&["--json", "ticket", "issue", "--user", "alice"]);
                logs.push(String::from_utf8_lossy(&issued.stderr).into_owned());
                let issued: serde_json::Value = serde_json::from_slice(&issued.stdout).unwrap();
                open.push(issued["ticket"].as_str().unwrap().to_owned());
                *seat = Some(server);
            }
            (Some(server), _) => {
                open.push(server.ticket());
                if let Some(ticket) = rng.draw(&mut open) {
                    assert_eq!(server.redeem(&ticket).status, 200, "a ticket is lost: {}", server.log());
                    redeemed += 1;
                    spent.push(ticket);
                }
                if rng.one_in(4) && server.is_quick() {
                    until_generation(&installation, || open.push(server.ticket()));
                }
                *seat = Some(server);
            }
        }
    }
    logs.extend(servers.into_iter().flatten().map(Running::stop));
    let server = serves_well(&installation, QUICK);
    for ticket in &open {
        assert_eq!(server.redeem(ticket).status, 200, "a ticket is lost");
    }
    for ticket in open.iter().chain(&spent) {
        assert_eq!(server.redeem(ticket).status, 400, "a ticket came back");
    }
    logs.push(server.stop());
    for log in &logs {
        no_alarm(log);
    }
    println!("{} logs, {kills} kills, {redeemed} redeemed in between, {} at the end", logs.len(), open.len());
    assert!(kills > 0 && redeemed > 0);
    assert_eq!(installation.json(&["check"])["ok"], true);
}

#[test]
fn everything_refuses_beside_a_witness_without_its_database() {
    let installation = installation();
    fs::remove_file(installation.path().join("gatepass.db")).unwrap();
    fs::remove_file(installation.path().join("master.key")).unwrap();
    all_refuse(&installation, &["gatepass.witness"]);
}
