//! Planted faults: `check` reports each by its name with a way out, and changes nothing.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use serde_json::Value;

use crate::harness::{
    DATABASE, KEY, LOG, QUICK, SLOW, Snapshot, WITNESS, aside, below, copy, installation, overwrite,
    serves_well, sql, text,
};
use crate::installation::TestInstallation;

/// A fault, the code that reports it, and its severity.
struct PlantedFault {
    code: &'static str,
    is_error: bool,
    plant: fn(&TestInstallation),
}

const fn error(code: &'static str, plant: fn(&TestInstallation)) -> PlantedFault {
    PlantedFault { code, is_error: true, plant }
}

const fn warning(code: &'static str, plant: fn(&TestInstallation)) -> PlantedFault {
    PlantedFault { code, is_error: false, plant }
}

fn run(installation: &TestInstallation, statement: &str) {
    sql(installation)
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {statement}"
        ))
        .unwrap();
}

fn mode(installation: &TestInstallation, name: &str, mode: u32) {
    fs::set_permissions(installation.path().join(name), Permissions::from_mode(mode)).unwrap();
}

fn write(installation: &TestInstallation, name: &str, bytes: &[u8]) {
    fs::write(installation.path().join(name), bytes).unwrap();
}

/// Writes a file in the directory of archives.
fn archive(installation: &TestInstallation, name: &str) {
    fs::create_dir(installation.path().join("archives")).unwrap();
    write(installation, &format!("archives/{name}"), b"");
    mode(installation, &format!("archives/{name}"), 0o600);
    mode(installation, "archives", 0o700);
}

fn remove(installation: &TestInstallation, name: &str) {
    fs::remove_file(installation.path().join(name)).unwrap();
}

/// Returns the offset of the root page of a table or an index.
fn root(installation: &TestInstallation, name: &str) -> usize {
    let page: i64 = sql(installation)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0))
        .unwrap();
    usize::try_from(page - 1).unwrap() * 4096
}

fn change_page(installation: &TestInstallation, name: &str, change: impl FnOnce(&mut [u8])) {
    let at = root(installation, name);
    let path = installation.path().join(DATABASE);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes[at..at + 4096]);
    overwrite(&path, &bytes);
}

/// Puts the log of a server that was killed on another installation.
fn foreign_log(installation: &TestInstallation) {
    let other = crate::harness::installation();
    let server = serves_well(&other, SLOW);
    server.session();
    server.kill();
    copy(other.path(), installation.path(), &[LOG]);
}

const PLANTED_FAULTS: &[PlantedFault] = &[
    error("database-missing", |installation| remove(installation, DATABASE)),
    error("database-missing", |installation| write(installation, DATABASE, b"")),
    error("database-foreign", |installation| {
        remove(installation, DATABASE);
        sql(installation).execute_batch("CREATE TABLE songs (name)").unwrap();
    }),
    error("database-foreign", |installation| write(installation, DATABASE, &b"no database ".repeat(1000))),
    error("database-damaged", |installation| {
        change_page(installation, "tickets", |page| page[..64].fill(0xff))
    }),
    error("database-damaged", |installation| {
        change_page(installation, "sqlite_autoindex_tickets_1", |page| page.fill(0))
    }),
    error("database-damaged", |installation| change_page(installation, "meta", |page| page[..64].fill(0xff))),
    error("index-damaged", |installation| {
        let at = root(installation, "tickets_by_expiry");
        let before = fs::read(installation.path().join(DATABASE)).unwrap();
        installation.json(&["ticket", "issue", "--user", "alice"]);
        let path = installation.path().join(DATABASE);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at..at + 4096].copy_from_slice(&before[at..at + 4096]);
        overwrite(&path, &bytes);
    }),
    error("database-short", |installation| {
        let path = installation.path().join(DATABASE);
        let bytes = fs::read(&path).unwrap();
        overwrite(&path, &bytes[..bytes.len() - 4096]);
    }),
    error("database-short", |installation| {
        let path = installation.path().join(DATABASE);
        let bytes = fs::read(&path).unwrap();
        overwrite(&path, &bytes[..bytes.len() - 1000]);
    }),
    error("row-orphaned", |installation| run(installation, "DELETE FROM users")),
    error("row-orphaned", |installation| run(installation, "UPDATE sessions SET user_id = 'usr_nobody'")),
    error("row-unreadable", |installation| run(installation, "UPDATE tickets SET scope = 'a  b'")),
    error("row-unreadable", |installation| run(installation, "UPDATE users SET epoch = -1")),
    error("row-unreadable", |installation| run(installation, "UPDATE clients SET audiences = 'x'")),
    error("row-unreadable", |installation| run(installation, "UPDATE audit SET kind = 'x' WHERE seq = 1")),
    error("audit-chain-broken", |installation| {
        run(installation, "UPDATE audit SET at = at + 1 WHERE seq = 1")
    }),
    error("audit-chain-broken", |installation| run(installation, "DELETE FROM audit WHERE seq = 2")),
    error("audit-chain-broken", |installation| {
        run(installation, "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
    }),
    error("sealed-altered", |installation| {
        run(installation, "UPDATE keys SET sealed = randomblob(length(sealed))")
    }),
    error("sealed-altered", |installation| {
        run(installation, "UPDATE meta SET audit_key = randomblob(length(audit_key))")
    }),
    error("master-key-missing", |installation| remove(installation, KEY)),
    error("master-key-wrong", |installation| {
        copy(crate::harness::installation().path(), installation.path(), &[KEY])
    }),
    error("master-key-wrong", |installation| {
        run(installation, "UPDATE meta SET master_check = randomblob(length(master_check))")
    }),
    error("master-key-exposed", |installation| mode(installation, KEY, 0o644)),
    error("master-key-exposed", |installation| mode(installation, KEY, 0o620)),
    error("master-key-malformed", |installation| write(installation, KEY, b"not a key\n")),
    error("master-key-malformed", |installation| write(installation, KEY, b"")),
    error("log-foreign", foreign_log),
    error("state-older", |installation| {
        let kept = aside();
        copy(installation.path(), kept.path(), &[DATABASE]);
        let server = serves_well(installation, QUICK);
        server.session();
        server.stop();
        copy(kept.path(), installation.path(), &[DATABASE]);
    }),
    error("witness-missing", |installation| remove(installation, WITNESS)),
    error("witness-unreadable", |installation| write(installation, WITNESS, b"gatepass witness 1\n")),
    error("witness-unreadable", |installation| {
        remove(installation, WITNESS);
        fs::create_dir(installation.path().join(WITNESS)).unwrap();
    }),
    error("witness-foreign", |installation| {
        copy(crate::harness::installation().path(), installation.path(), &[WITNESS])
    }),
    warning("witness-beside-database", |_| ()),
    error("directory-writable", |installation| {
        fs::set_permissions(installation.path(), Permissions::from_mode(0o777)).unwrap();
    }),
    error("directory-missing", |installation| fs::remove_dir_all(installation.path()).unwrap()),
    warning("file-exposed", |installation| mode(installation, DATABASE, 0o644)),
    warning("file-exposed", |installation| mode(installation, WITNESS, 0o620)),
    warning("file-exposed", |installation| {
        archive(installation, "audit-1-2-20260131T120000Z.jsonl");
        mode(installation, "archives/audit-1-2-20260131T120000Z.jsonl", 0o640);
    }),
    warning("file-exposed", |installation| {
        archive(installation, "notes");
        mode(installation, "archives", 0o770);
    }),
    warning("archive-cut", |installation| archive(installation, "audit-1-2-20260131T120000Z.jsonl.00ff")),
    error("file-unreadable", |installation| mode(installation, "gatepass.lock", 0)),
    error("first-start-cut", |installation| write(installation, "gatepass.starting", b"")),
    error("schema-older", |installation| run(installation, "PRAGMA user_version = 6")),
    error("schema-newer", |installation| run(installation, "PRAGMA user_version = 11")),
    warning("disk-was-full", |installation| {
        write(installation, "gatepass.reserve", b"");
        mode(installation, "gatepass.reserve", 0o600);
    }),
    warning("log-large", |installation| {
        // A log of no file: nothing of it is replayed.
        let log = fs::File::create(installation.path().join(LOG)).unwrap();
        log.set_len(64 * 1024 * 1024).unwrap();
        mode(installation, LOG, 0o600);
    }),
    warning("copy-not-taken", |installation| {
        let copies = aside();
        let file = below(&copies, "copy");
        installation.json(&["backup", text(&file)]);
        fs::copy(&file, installation.path().join(DATABASE)).unwrap();
    }),
    error("handed-over", |installation| {
        let copies = aside();
        installation.json(&[
            "backup",
            text(&below(&copies, "copy")),
            "--handover",
            "0123456789abcdef0123456789abcdef",
        ]);
    }),
    warning("handover-expected", |installation| drop(installation.json(&["restore", "--accept"]))),
    warning("master-key-change-cut", |installation| write(installation, "master.key.new", b"")),
    error("key-none-signs", |installation| run(installation, "UPDATE keys SET state = 'verifying-only'")),
    warning("key-none", |installation| run(installation, "DELETE FROM keys")),
];

/// Runs `check` in both output formats, and returns its findings.
fn findings(installation: &TestInstallation, exists: bool) -> (i32, Value) {
    let before = exists.then(|| Snapshot::of(installation.path()));
    let output = installation.run(&["--json", "check"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = installation.run(&["check"]);
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
        before.holds(installation.path(), "check");
    }
    (output.status.code().unwrap(), report)
}

#[test]
fn every_planted_fault_is_found_and_nothing_is_touched() {
    let template = installation();
    let server = serves_well(&template, QUICK);
    server.session();
    server.ticket();
    server.stop();
    let mut missed = Vec::new();
    for (number, PlantedFault { code, is_error, plant }) in PLANTED_FAULTS.iter().enumerate() {
        let installation = TestInstallation::new();
        copy(template.path(), installation.path(), &[DATABASE, KEY, WITNESS, "gatepass.lock"]);
        plant(&installation);
        let exists = installation.path().exists();
        let (exit, report) = findings(&installation, exists);
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
            fs::create_dir(installation.path()).unwrap();
        }
    }
    println!("{} faults planted", PLANTED_FAULTS.len());
    assert!(missed.is_empty(), "missed:\n{}", missed.join("\n"));
}

#[test]
fn a_file_of_another_owner_is_found() {
    let installation = installation();
    let path = installation.path().join(DATABASE);
    if chown(&path, Some(1), Some(1)).is_err() {
        println!("only the superuser gives files away: nothing is planted");
        return;
    }
    let (exit, report) = findings(&installation, true);
    let found = report["findings"].to_string();
    assert!(exit == 1 && found.contains("owner-differs") && found.contains("chown"), "{report}");
    // The superuser may own a key.
    let (uid, gid) = (Some(1), Some(1));
    for name in [DATABASE, WITNESS, "gatepass.lock"] {
        chown(installation.path().join(name), uid, gid).unwrap();
    }
    chown(installation.path(), uid, gid).unwrap();
    let (exit, report) = findings(&installation, true);
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
    let whole = installation();
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
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    server.session();
    for _ in 0..2 {
        let report = installation.json(&["check"]);
        let found: Vec<&str> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap())
            .collect();
        assert!(found.iter().all(|code| ["witness-beside-database", "room-low"].contains(code)), "{report}");
        assert!(report["audit_rows"].as_u64().unwrap() > 0 && report["schema"] == 10, "{report}");
    }
    server.kill();
    let (exit, report) = findings(&installation, true);
    assert_eq!(exit, 0, "{report}");
    assert_eq!(installation.json(&["check"])["ok"], true);
}
