//! Planted faults: `check` finds each by its name, tells a way out, and touches nothing.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use serde_json::Value;

use crate::harness::{
    DATABASE, KEY, LOG, QUICK, SLOW, Snapshot, WITNESS, aside, below, copy, overwrite, serves_well, site,
    sql, text,
};
use crate::site::Site;

/// A fault, the code it is found by, and whether it is an error.
struct Plant {
    code: &'static str,
    is_error: bool,
    plant: fn(&Site),
}

const fn error(code: &'static str, plant: fn(&Site)) -> Plant {
    Plant { code, is_error: true, plant }
}

const fn warning(code: &'static str, plant: fn(&Site)) -> Plant {
    Plant { code, is_error: false, plant }
}

fn run(site: &Site, statement: &str) {
    sql(site)
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {statement}"
        ))
        .unwrap();
}

fn mode(site: &Site, name: &str, mode: u32) {
    fs::set_permissions(site.path().join(name), Permissions::from_mode(mode)).unwrap();
}

fn write(site: &Site, name: &str, bytes: &[u8]) {
    fs::write(site.path().join(name), bytes).unwrap();
}

fn remove(site: &Site, name: &str) {
    fs::remove_file(site.path().join(name)).unwrap();
}

/// Where the root page of a table or an index is in the file.
fn root(site: &Site, name: &str) -> usize {
    let page: i64 = sql(site)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0))
        .unwrap();
    usize::try_from(page - 1).unwrap() * 4096
}

fn change_page(site: &Site, name: &str, change: impl FnOnce(&mut [u8])) {
    let at = root(site, name);
    let path = site.path().join(DATABASE);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes[at..at + 4096]);
    overwrite(&path, &bytes);
}

/// The log of a server that was killed on another installation.
fn foreign_log(site: &Site) {
    let other = crate::harness::site();
    let server = serves_well(&other, SLOW);
    server.session();
    server.kill();
    copy(other.path(), site.path(), &[LOG]);
}

const PLANTS: &[Plant] = &[
    error("database-missing", |site| remove(site, DATABASE)),
    error("database-missing", |site| write(site, DATABASE, b"")),
    error("database-foreign", |site| {
        remove(site, DATABASE);
        sql(site).execute_batch("CREATE TABLE songs (name)").unwrap();
    }),
    error("database-foreign", |site| write(site, DATABASE, &b"no database ".repeat(1000))),
    error("database-damaged", |site| change_page(site, "tickets", |page| page[..64].fill(0xff))),
    error("database-damaged", |site| change_page(site, "sqlite_autoindex_tickets_1", |page| page.fill(0))),
    error("database-damaged", |site| change_page(site, "meta", |page| page[..64].fill(0xff))),
    error("index-damaged", |site| {
        let at = root(site, "tickets_by_expiry");
        let before = fs::read(site.path().join(DATABASE)).unwrap();
        site.json(&["ticket", "issue", "--user", "alice"]);
        let path = site.path().join(DATABASE);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at..at + 4096].copy_from_slice(&before[at..at + 4096]);
        overwrite(&path, &bytes);
    }),
    error("database-short", |site| {
        let path = site.path().join(DATABASE);
        let bytes = fs::read(&path).unwrap();
        overwrite(&path, &bytes[..bytes.len() - 4096]);
    }),
    error("database-short", |site| {
        let path = site.path().join(DATABASE);
        let bytes = fs::read(&path).unwrap();
        overwrite(&path, &bytes[..bytes.len() - 1000]);
    }),
    error("row-orphaned", |site| run(site, "DELETE FROM users")),
    error("row-orphaned", |site| run(site, "UPDATE sessions SET user_id = 'usr_nobody'")),
    error("row-unreadable", |site| run(site, "UPDATE tickets SET scope = 'a  b'")),
    error("row-unreadable", |site| run(site, "UPDATE users SET epoch = -1")),
    error("row-unreadable", |site| run(site, "UPDATE clients SET audiences = 'x'")),
    error("row-unreadable", |site| run(site, "UPDATE audit SET kind = 'x' WHERE seq = 1")),
    error("audit-chain-broken", |site| run(site, "UPDATE audit SET at = at + 1 WHERE seq = 1")),
    error("audit-chain-broken", |site| run(site, "DELETE FROM audit WHERE seq = 2")),
    error("audit-chain-broken", |site| {
        run(site, "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
    }),
    error("sealed-altered", |site| run(site, "UPDATE keys SET sealed = randomblob(length(sealed))")),
    error("sealed-altered", |site| run(site, "UPDATE meta SET audit_key = randomblob(length(audit_key))")),
    error("master-key-missing", |site| remove(site, KEY)),
    error("master-key-wrong", |site| copy(crate::harness::site().path(), site.path(), &[KEY])),
    error("master-key-wrong", |site| {
        run(site, "UPDATE meta SET master_check = randomblob(length(master_check))")
    }),
    error("master-key-exposed", |site| mode(site, KEY, 0o644)),
    error("master-key-exposed", |site| mode(site, KEY, 0o620)),
    error("master-key-malformed", |site| write(site, KEY, b"not a key\n")),
    error("master-key-malformed", |site| write(site, KEY, b"")),
    error("log-foreign", foreign_log),
    error("state-older", |site| {
        let kept = aside();
        copy(site.path(), kept.path(), &[DATABASE]);
        let server = serves_well(site, QUICK);
        server.session();
        server.stop();
        copy(kept.path(), site.path(), &[DATABASE]);
    }),
    error("witness-missing", |site| remove(site, WITNESS)),
    error("witness-unreadable", |site| write(site, WITNESS, b"gatepass witness 1\n")),
    error("witness-unreadable", |site| {
        remove(site, WITNESS);
        fs::create_dir(site.path().join(WITNESS)).unwrap();
    }),
    error("witness-foreign", |site| copy(crate::harness::site().path(), site.path(), &[WITNESS])),
    warning("witness-beside-database", |_| ()),
    error("directory-writable", |site| {
        fs::set_permissions(site.path(), Permissions::from_mode(0o777)).unwrap();
    }),
    error("directory-missing", |site| fs::remove_dir_all(site.path()).unwrap()),
    warning("file-exposed", |site| mode(site, DATABASE, 0o644)),
    warning("file-exposed", |site| mode(site, WITNESS, 0o620)),
    error("file-unreadable", |site| mode(site, "gatepass.lock", 0)),
    error("first-start-cut", |site| write(site, "gatepass.starting", b"")),
    error("schema-older", |site| run(site, "PRAGMA user_version = 6")),
    error("schema-newer", |site| run(site, "PRAGMA user_version = 9")),
    warning("disk-was-full", |site| {
        write(site, "gatepass.reserve", b"");
        mode(site, "gatepass.reserve", 0o600);
    }),
    warning("log-large", |site| {
        // No log of any file: nothing of it is replayed.
        let log = fs::File::create(site.path().join(LOG)).unwrap();
        log.set_len(64 * 1024 * 1024).unwrap();
        mode(site, LOG, 0o600);
    }),
    warning("copy-not-taken", |site| {
        let copies = aside();
        let file = below(&copies, "copy");
        site.json(&["backup", text(&file)]);
        fs::copy(&file, site.path().join(DATABASE)).unwrap();
    }),
    error("handed-over", |site| {
        let copies = aside();
        site.json(&[
            "backup",
            text(&below(&copies, "copy")),
            "--handover",
            "0123456789abcdef0123456789abcdef",
        ]);
    }),
    warning("handover-expected", |site| drop(site.json(&["restore", "--accept"]))),
    warning("master-key-change-cut", |site| write(site, "master.key.new", b"")),
    error("key-none-signs", |site| run(site, "UPDATE keys SET state = 'verifying-only'")),
    warning("key-none", |site| run(site, "DELETE FROM keys")),
];

/// Runs `check` both ways, and returns what it found.
fn findings(site: &Site, exists: bool) -> (i32, Value) {
    let before = exists.then(|| Snapshot::of(site.path()));
    let output = site.run(&["--json", "check"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = site.run(&["check"]);
    assert_eq!(output.status.code(), text.status.code());
    let said = String::from_utf8(text.stdout).unwrap();
    for finding in report["findings"].as_array().unwrap() {
        for member in ["code", "severity", "what", "way_out"] {
            let told = finding[member].as_str().unwrap();
            assert!(!told.is_empty(), "{member}: {finding}");
            assert!(said.contains(told), "{told:?} is not in {said}");
        }
    }
    assert_eq!(String::from_utf8_lossy(&text.stderr), "");
    if let Some(before) = before {
        before.holds(site.path(), "check");
    }
    (output.status.code().unwrap(), report)
}

#[test]
fn every_planted_fault_is_found_and_nothing_is_touched() {
    let template = site();
    let server = serves_well(&template, QUICK);
    server.session();
    server.ticket();
    server.stop();
    let mut missed = Vec::new();
    for (number, Plant { code, is_error, plant }) in PLANTS.iter().enumerate() {
        let site = Site::new();
        copy(template.path(), site.path(), &[DATABASE, KEY, WITNESS, "gatepass.lock"]);
        plant(&site);
        let exists = site.path().exists();
        let (exit, report) = findings(&site, exists);
        let found: BTreeSet<&str> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap())
            .collect();
        let is_listed = found.contains(code);
        let severity = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == *code);
        let severity = severity.map(|finding| finding["severity"].as_str().unwrap());
        let right = severity == Some(if *is_error { "error" } else { "warning" });
        let exit_is_right = if *is_error { exit == 1 } else { exit == 0 && report["ok"] == true };
        if !is_listed || !right || !exit_is_right {
            missed.push(format!("{number} {code}: exit {exit}, {found:?}"));
        }
        if !exists {
            fs::create_dir(site.path()).unwrap();
        }
    }
    println!("{} faults planted", PLANTS.len());
    assert!(missed.is_empty(), "missed:\n{}", missed.join("\n"));
}

#[test]
fn a_file_of_another_owner_is_found() {
    let site = site();
    let path = site.path().join(DATABASE);
    if chown(&path, Some(1), Some(1)).is_err() {
        println!("only the superuser gives files away: nothing is planted");
        return;
    }
    let (exit, report) = findings(&site, true);
    let found = report["findings"].to_string();
    assert!(exit == 1 && found.contains("owner-differs") && found.contains("chown"), "{report}");
    // A key may be the superuser's.
    let (uid, gid) = (Some(1), Some(1));
    for name in [DATABASE, WITNESS, "gatepass.lock"] {
        chown(site.path().join(name), uid, gid).unwrap();
    }
    chown(site.path(), uid, gid).unwrap();
    let (exit, report) = findings(&site, true);
    assert!(exit == 0 && !report.to_string().contains("owner-differs"), "{report}");
}

#[test]
fn little_room_is_found() {
    let disk = aside();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m,mode=700", "none", text(disk.path())])
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("no small disk can be mounted here: nothing is planted");
        return;
    }
    let whole = site();
    copy(whole.path(), disk.path(), &[DATABASE, KEY, WITNESS, "gatepass.lock"]);
    let output = whole.run(&["--json", "--data", text(disk.path()), "check"]);
    let unmounted = std::process::Command::new("umount").arg(disk.path()).status().unwrap();
    assert!(unmounted.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["findings"].to_string().contains("room-low"), "{report}");
    assert_eq!(output.status.code(), Some(0), "{report}");
}

#[test]
fn a_sound_installation_has_no_finding_but_where_its_witness_is() {
    let site = site();
    let server = serves_well(&site, QUICK);
    server.session();
    for _ in 0..2 {
        let report = site.json(&["check"]);
        let found: Vec<&str> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap())
            .collect();
        assert!(found.iter().all(|code| ["witness-beside-database", "room-low"].contains(code)), "{report}");
        assert!(report["audit_rows"].as_u64().unwrap() > 0 && report["schema"] == 8, "{report}");
    }
    server.kill();
    let (exit, report) = findings(&site, true);
    assert_eq!(exit, 0, "{report}");
    assert_eq!(site.json(&["check"])["ok"], true);
}
