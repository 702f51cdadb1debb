//! A disk that is really full, below a real server: changes that restrict something are still written, and nothing else.

use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Command;

use gatepass_tests::http::TestRequest;
use serde_json::json;

use crate::harness::{install_at, poll, serves_well, text};
use crate::installation::TestInstallation;

/// Arguments of a server that checks for room as often as possible.
const OFTEN: &[&str] =
    &["--issuer", "http://gate.example", "--sweep-interval", "1s", "--witness-interval", "1h"];
const SIZE: u64 = 4 * 1024 * 1024;

/// Fills the disk to the last byte.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    while file.write_all(&[1]).is_ok() {}
}

#[test]
fn a_full_disk_ends_sessions_and_opens_none() {
    let installation = TestInstallation::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=40m,mode=700", "none", text(installation.path())])
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("no small disk can be mounted here: nothing is filled");
        return;
    }
    let done = catch_unwind(AssertUnwindSafe(|| fills(&installation)));
    let _ = Command::new("umount").args(["-l", text(installation.path())]).output();
    done.unwrap_or_else(|panic| resume_unwind(panic));
}

fn fills(installation: &TestInstallation) {
    install_at(installation);
    let added = installation.json(&["client", "add", "auditor", "--role", "auditor", "--scope", "x"]);
    let server = serves_well(installation, OFTEN);
    let session = server.session();
    let form = "grant_type=client_credentials&scope=gatepass:admin";
    let asked =
        TestRequest::form("/oauth2/token", form).basic("auditor", added["client_secret"].as_str().unwrap());
    let auditor = server.ask(&asked).text("access_token");
    let archive = || {
        let request = TestRequest::json("/admin/v1/audit:archive", &json!({})).bearer(&auditor);
        server.ask(&request)
    };
    let archives = installation.path().join("archives");
    let archived = || fs::read_dir(&archives).map_or(0, Iterator::count);
    let reserve = || fs::metadata(installation.path().join("gatepass.reserve")).unwrap().len();
    assert_eq!(reserve(), SIZE);
    let filler = installation.path().join("filler");
    fill(&filler);
    let issued = || match server.generate() {
        Ok(answer) | Err(answer) => answer,
    };
    // Until the log has no room any more.
    let refused = poll("a full disk", || Some(issued()).filter(|answer| answer.status != 200));
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(reserve(), 0, "it was given up");
    let ready = server.ask(&TestRequest::new("GET", "/readyz"));
    assert!(ready.status == 200 && ready.json()["warnings"].to_string().contains("disk-full"), "{ready:?}");
    let report = installation.json(&["check"]);
    assert!(report["findings"].to_string().contains("disk-was-full"), "{report}");
    let ended = server.ask(&TestRequest::new("DELETE", "/auth/me/sessions").bearer(&session.access));
    assert_eq!(ended.status, 200, "{ended:?} {}", server.log());
    assert_eq!(server.refresh(&session.refresh).status, 400, "the session is over");
    assert_eq!(server.redeem(&session.ticket).status, 400, "a ticket stays spent");
    assert_eq!(issued().status, 503);
    assert_eq!((archive().status, archived()), (503, 0), "{}", server.log());
    fs::remove_file(&filler).unwrap();
    poll("room again", || (issued().status == 200).then_some(()));
    assert_eq!(reserve(), SIZE);
    assert_eq!((archive().status, archived()), (200, 1));
    let log = server.stop();
    assert!(log.contains("the disk is full") && log.contains("there is room on the disk again"), "{log}");
}
