//! Moving an installation to another machine, with everything that was issued.

use std::fs;
use std::path::Path;

use gatepass_tests::fixtures::BACKEND_SECRET;
use gatepass_tests::http::TestRequest;

use crate::harness::{
    DATABASE, KEY, QUICK, Running, Session, aside, below, copy, installation, no_alarm, poll, refused_start,
    serves_well, text,
};
use crate::installation::TestInstallation;

/// The credentials that the source had issued.
struct Issued {
    spent: Session,
    open: Vec<String>,
}

fn issue(server: &Running) -> Issued {
    Issued { spent: server.session(), open: (0..3).map(|_| server.ticket()).collect() }
}

/// Makes a directory that accepts a handover, with the master key of `of`. Returns it and the id.
fn accepting(of: &TestInstallation) -> (TestInstallation, String) {
    let installation = TestInstallation::new();
    copy(of.path(), installation.path(), &[KEY]);
    let id = installation.json(&["restore", "--accept"])["handover"].as_str().unwrap().to_owned();
    (installation, id)
}

fn nothing_is_good(server: &Running, issued: &Issued) {
    let mut statuses: Vec<u16> = issued.open.iter().map(|ticket| server.redeem(ticket).status).collect();
    statuses.push(server.redeem(&issued.spent.ticket).status);
    statuses.push(server.refresh(&issued.spent.refresh).status);
    assert!(
        statuses.iter().all(|status| [400, 401].contains(status)),
        "issued before, and good: {statuses:?}"
    );
    // What is issued from now on is good.
    let session = server.session();
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
}

fn everything_is_good_once(server: &Running, issued: &Issued) {
    assert_eq!(server.redeem(&issued.spent.ticket).status, 400);
    assert_eq!(server.refresh(&issued.spent.refresh).status, 200);
    for ticket in &issued.open {
        let statuses: Vec<u16> = (0..2).map(|_| server.redeem(ticket).status).collect();
        assert_eq!(statuses, [200, 400]);
    }
}

/// Hands `source` over while `server` runs on it.
fn hand_over(source: &TestInstallation, id: &str, file: &Path) {
    let made = source.json(&["backup", text(file), "--handover", id]);
    assert_eq!((made["handover"].as_str(), &made["audit_verified"]), (Some(id), &true.into()), "{made}");
}

#[test]
fn everything_issued_lives_on_at_the_destination_alone() {
    let source = installation();
    let server = serves_well(&source, QUICK);
    let issued = issue(&server);
    let (destination, id) = accepting(&source);
    let copies = aside();
    let file = below(&copies, "copy");
    hand_over(&source, &id, &file);

    // The source's running server writes nothing any more.
    let token = TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=ticket:issue");
    let statuses = [
        server.redeem(&issued.open[0]).status,
        server.refresh(&issued.spent.refresh).status,
        server.ask(&token.basic("backend", BACKEND_SECRET)).status,
    ];
    assert_eq!(statuses, [503; 3], "a ticket, a refresh token, a service's token");
    // For a second, an earlier commit proves that the server can write.
    poll("it is not ready", || (server.readiness() == 503).then_some(()));
    let log = server.stop();
    assert!(log.contains(&id), "{log}");
    let said = refused_start(&source, QUICK);
    assert!(said.contains(&id) && said.contains("gatepass handover cancel"), "{said}");
    for command in [
        &["user", "add", "eve"][..],
        &["ticket", "issue", "--user", "alice"],
        &["key", "rotate"],
        &["clock", "reset"],
    ] {
        let (code, said) = source.refused(command);
        assert!(code == 1 && said.contains("gatepass handover cancel"), "{command:?}: {said}");
    }
    assert_eq!(source.json(&["user", "list"]).as_array().unwrap().len(), 1, "reading goes on");
    let report = source.no(&["check"]);
    assert!(report["findings"].as_array().unwrap().iter().any(|f| f["code"] == "handed-over"), "{report}");

    let told = destination.json(&["restore", text(&file)]);
    assert_eq!(told["taken"], true, "{told}");
    assert!(told["notices"].to_string().contains(&id), "{told}");
    assert!(!destination.path().join("gatepass.accept").exists(), "an id is good once");
    let server = serves_well(&destination, QUICK);
    everything_is_good_once(&server, &issued);
    no_alarm(&server.stop());
    let server = serves_well(&destination, QUICK);
    assert_eq!(server.redeem(&issued.open[0]).status, 400);
    no_alarm(&server.stop());
    assert_eq!(destination.json(&["check"])["ok"], true);
    assert_eq!(destination.json(&["audit", "verify"])["valid"], true);
}

#[test]
fn a_second_restore_of_the_same_copy_keeps_nothing_alive() {
    let source = installation();
    let server = serves_well(&source, QUICK);
    let issued = issue(&server);
    server.stop();
    let (destination, id) = accepting(&source);
    let copies = aside();
    let file = below(&copies, "copy");
    hand_over(&source, &id, &file);
    destination.json(&["restore", text(&file)]);
    let server = serves_well(&destination, QUICK);
    assert_eq!(server.redeem(&issued.open[0]).status, 200);
    server.stop();
    let told = destination.json(&["restore", text(&file), "--replace"]);
    assert!(!told["notices"].to_string().contains("taken over"), "{told}");
    nothing_is_good(&Running::start(&destination, QUICK), &issued);
}

#[test]
fn a_second_box_that_restores_the_copy_keeps_nothing_alive() {
    let source = installation();
    let server = serves_well(&source, QUICK);
    let issued = issue(&server);
    server.stop();
    let (_destination, id) = accepting(&source);
    let copies = aside();
    let file = below(&copies, "copy");
    hand_over(&source, &id, &file);
    // One accepts another id, one accepts none, and one is a manual copy of the file.
    let (other, other_id) = accepting(&source);
    assert_ne!(other_id, id);
    other.json(&["restore", text(&file)]);
    nothing_is_good(&Running::start(&other, QUICK), &issued);

    let third = TestInstallation::new();
    copy(source.path(), third.path(), &[KEY]);
    third.json(&["restore", text(&file)]);
    nothing_is_good(&Running::start(&third, QUICK), &issued);

    let (by_hand, _) = accepting(&source);
    fs::copy(&file, by_hand.path().join(DATABASE)).unwrap();
    nothing_is_good(&Running::start(&by_hand, QUICK), &issued);
}

#[test]
fn a_copy_for_another_id_keeps_nothing_alive() {
    let source = installation();
    let server = serves_well(&source, QUICK);
    let issued = issue(&server);
    server.stop();
    let (destination, _) = accepting(&source);
    let copies = aside();
    let file = below(&copies, "copy");
    hand_over(&source, "0123456789abcdef0123456789abcdef", &file);
    let told = destination.json(&["restore", text(&file)]);
    assert!(!told["notices"].to_string().contains("taken over"), "{told}");
    nothing_is_good(&Running::start(&destination, QUICK), &issued);
}

#[test]
fn a_handover_that_is_cancelled_ends_what_was_issued() {
    let source = installation();
    let server = serves_well(&source, QUICK);
    let issued = issue(&server);
    let (_destination, id) = accepting(&source);
    let copies = aside();
    hand_over(&source, &id, &below(&copies, "copy"));
    let (code, said) = source.refused(&[
        "backup",
        text(&below(&copies, "other")),
        "--handover",
        "ffffffffffffffffffffffffffffffff",
    ]);
    assert!(code == 1 && said.contains(&id), "{said}");
    // The same id again: the copy may have been lost.
    hand_over(&source, &id, &below(&copies, "again"));

    let told = source.json(&["handover", "cancel"]);
    assert_eq!((told["handover"].as_str(), &told["cancelled"]), (Some(&*id), &true.into()));
    // The server that was running all the time, and one that starts.
    nothing_is_good(&server, &issued);
    server.stop();
    let server = serves_well(&source, QUICK);
    nothing_is_good(&server, &issued);
    no_alarm(&server.stop());
    let (code, said) = source.refused(&["handover", "cancel"]);
    assert!(code == 1 && said.contains("nothing to cancel"), "{said}");
    assert_eq!(source.json(&["check"])["ok"], true);
}

#[test]
fn a_handover_whose_copy_cannot_be_written_hands_nothing_over() {
    let source = installation();
    let server = serves_well(&source, QUICK);
    let issued = issue(&server);
    let copies = aside();
    let there = below(&copies, "there");
    fs::write(&there, "x").unwrap();
    let (code, said) =
        source.refused(&["backup", text(&there), "--handover", "0123456789abcdef0123456789abcdef"]);
    assert!(code == 1 && said.contains("is there already"), "{said}");
    everything_is_good_once(&server, &issued);
    // Nor if the copy cannot be made.
    let (code, said) = source.refused(&[
        "backup",
        text(&below(&copies, "no/where")),
        "--handover",
        "0123456789abcdef0123456789abcdef",
    ]);
    assert!(code == 1 && said.contains("no/where"), "{said}");
    assert_eq!(server.readiness(), 200);
    let (code, said) = source.refused(&["backup", text(&below(&copies, "typed")), "--handover", "0123"]);
    assert!(code == 2 && said.contains("restore --accept"), "{said}");
}

#[test]
fn a_handover_of_older_files_does_not_go_over_newer_ones() {
    // To another machine and back: the first machine accepts the copy only if it is newer than what it served itself.
    let source = installation();
    let server = serves_well(&source, QUICK);
    server.session();
    server.stop();
    let (destination, id) = accepting(&source);
    let copies = aside();
    hand_over(&source, &id, &below(&copies, "there"));
    destination.json(&["restore", text(&below(&copies, "there"))]);
    let server = serves_well(&destination, QUICK);
    let issued = issue(&server);
    server.stop();
    let id = source.json(&["restore", "--accept"])["handover"].as_str().unwrap().to_owned();
    hand_over(&destination, &id, &below(&copies, "back"));
    let told = source.json(&["restore", text(&below(&copies, "back")), "--replace"]);
    assert!(told["notices"].to_string().contains("taken over"), "{told}");
    everything_is_good_once(&serves_well(&source, QUICK), &issued);
}
