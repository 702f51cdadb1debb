//! A disk that is really full, below a real server: what restricts something is written still, and nothing else.

use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Command;

use gatepass_tests::http::Ask;

use crate::harness::{poll, serves_well, site_at, text};
use crate::site::Site;

/// A server that looks for room as often as it can.
const OFTEN: &[&str] =
    &["--issuer", "http://gate.example", "--sweep-interval", "1s", "--witness-interval", "1h"];
const SIZE: u64 = 4 * 1024 * 1024;

/// Fills the disk to its last byte.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    while file.write_all(&[1]).is_ok() {}
}

#[test]
fn a_full_disk_ends_sessions_and_opens_none() {
    let site = Site::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=40m,mode=700", "none", text(site.path())])
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("no small disk can be mounted here: nothing is filled");
        return;
    }
    let done = catch_unwind(AssertUnwindSafe(|| fills(&site)));
    let _ = Command::new("umount").args(["-l", text(site.path())]).output();
    done.unwrap_or_else(|panic| resume_unwind(panic));
}

fn fills(site: &Site) {
    site_at(site);
    let server = serves_well(site, OFTEN);
    let session = server.session();
    let reserve = || fs::metadata(site.path().join("gatepass.reserve")).unwrap().len();
    assert_eq!(reserve(), SIZE);
    let filler = site.path().join("filler");
    fill(&filler);
    let issued = || match server.generate() {
        Ok(answer) | Err(answer) => answer,
    };
    // Until the log has no room any more.
    let refused = poll("a full disk", || Some(issued()).filter(|answer| answer.status != 200));
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(reserve(), 0, "it was given up");
    let ready = server.ask(&Ask::new("GET", "/readyz"));
    assert!(ready.status == 200 && ready.json()["warnings"].to_string().contains("disk-full"), "{ready:?}");
    let report = site.json(&["check"]);
    assert!(report["findings"].to_string().contains("disk-was-full"), "{report}");
    let ended = server.ask(&Ask::new("DELETE", "/auth/me/sessions").bearer(&session.access));
    assert_eq!(ended.status, 200, "{ended:?} {}", server.log());
    assert_eq!(server.refresh(&session.refresh).status, 400, "the session is over");
    assert_eq!(server.redeem(&session.ticket).status, 400, "a ticket stays spent");
    assert_eq!(issued().status, 503);
    fs::remove_file(&filler).unwrap();
    poll("room again", || (issued().status == 200).then_some(()));
    assert_eq!(reserve(), SIZE);
    let log = server.stop();
    assert!(log.contains("the disk is full") && log.contains("there is room on the disk again"), "{log}");
}
