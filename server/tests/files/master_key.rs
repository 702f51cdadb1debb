//! The master key: which files count as one, and its replacement while servers run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::{
    KEY, QUICK, Running, Session, Snapshot, all_refuse, aside, below, installation, lapse, no_alarm, poll,
    serves_well, text,
};
use crate::installation::TestInstallation;

/// Checks that keys, and everything sealed, open with the current key.
fn everything_opens(installation: &TestInstallation) {
    let report = installation.json(&["check"]);
    assert_eq!((&report["ok"], &report["keys"]), (&json!(true), &json!(1)), "{report}");
    let findings = report["findings"].to_string();
    assert!(!findings.contains("master-key"), "{report}");
    assert_eq!(installation.json(&["audit", "verify"])["valid"], true);
}

/// Lets four clients do everything while `meanwhile` runs. Returns the number of requests, and those not answered with
/// 200.
fn failures_during(server: &Running, meanwhile: impl FnOnce()) -> (u64, Vec<String>) {
    let (over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let failures = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    while !over.load(SeqCst) {
                        let answers = || -> Result<(), String> {
                            let ticket = server.generate().map_err(|answer| format!("{answer:?}"))?;
                            let good = |answer: gatepass_tests::http::Answer| {
                                if answer.status == 200 { Ok(answer) } else { Err(format!("{answer:?}")) }
                            };
                            let session = good(server.redeem(&good(ticket)?.text("ticket")))?;
                            good(server.refresh(&session.text("refresh_token"))).map(drop)
                        };
                        failures.extend(answers().err());
                        done.fetch_add(1, SeqCst);
                    }
                    failures
                })
            })
            .collect();
        poll("some were answered", || (done.load(SeqCst) > 8).then_some(()));
        meanwhile();
        let so_far = done.load(SeqCst);
        poll("some more were answered", || (done.load(SeqCst) > so_far + 8).then_some(()));
        over.store(true, SeqCst);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    (done.into_inner(), failures)
}

#[test]
fn it_is_replaced_under_load_without_a_request_that_fails() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let first = fs::read(installation.path().join(KEY)).unwrap();
    let (done, failures) = failures_during(&server, || {
        let told = installation.json(&["key", "rotate-master"]);
        assert_eq!(told["old_master_key"], text(&installation.path().join("master.key.old")), "{told}");
        assert!(told["sealed"].as_u64().unwrap() >= 3, "the check, the audit key and one that signs: {told}");
    });
    assert!(failures.is_empty(), "{} of {done} failed: {failures:?}", failures.len());
    let second = fs::read(installation.path().join(KEY)).unwrap();
    assert_ne!(first, second);
    assert_eq!(fs::read(installation.path().join("master.key.old")).unwrap(), first);
    assert!(!installation.path().join("master.key.new").exists());
    everything_opens(&installation);
    no_alarm(&server.stop());
    let server = serves_well(&installation, QUICK);
    assert_eq!(server.refresh(&server.session().refresh).status, 200);
    everything_opens(&installation);

    // Again: the oldest key is kept, too.
    installation.json(&["key", "rotate-master"]);
    let kept: Vec<Vec<u8>> = ["master.key.old", "master.key.old-2"]
        .map(|name| fs::read(installation.path().join(name)).unwrap())
        .into();
    assert_eq!(kept, [first, second]);
    everything_opens(&installation);

    // The running server also opens what is sealed with the new key.
    let header = |session: Session| session.access.split('.').next().unwrap().to_owned();
    let former = header(server.session());
    installation.json(&["key", "rotate", "--now"]);
    assert_ne!(header(server.session()), former, "{}", server.log());
    assert_eq!(server.readiness(), 200);
    no_alarm(&server.stop());
}

#[test]
fn it_goes_to_another_place() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let keys = aside();
    let to = below(&keys, "key");
    let before = fs::read(installation.path().join(KEY)).unwrap();
    let (done, failures) = failures_during(&server, || {
        let told = installation.json(&["key", "rotate-master", "--to", text(&to)]);
        assert_eq!(told["master_key"], text(&to), "{told}");
    });
    assert!(failures.is_empty(), "{} of {done} failed: {failures:?}", failures.len());
    assert_eq!(fs::read(installation.path().join(KEY)).unwrap(), before, "the old one stays where it is");
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    everything_opens(&installation);
    no_alarm(&server.stop());
    // Named or not, the new key is found. The old one opens nothing.
    no_alarm(&serves_well(&installation, QUICK).stop());
    no_alarm(&serves_well(&installation, &[QUICK, &["--master-key-file", text(&to)]].concat()).stop());
    fs::rename(&to, below(&keys, "gone")).unwrap();
    let said = crate::harness::refused_start(&installation, QUICK);
    assert!(said.contains("master key"), "{said}");
    let (code, said) = installation.refused(&["key", "rotate-master", "--to", text(&below(&keys, "gone"))]);
    assert_eq!(code, 1, "{said}");
    fs::rename(below(&keys, "gone"), &to).unwrap();
    let before = Snapshot::of(keys.path());
    let (code, said) = installation.refused(&["key", "rotate-master", "--to", text(&to)]);
    assert!(code == 1 && said.contains("is there already"), "{said}");
    before.holds(keys.path(), "a change to a key that is there");
    everything_opens(&installation);
}

#[test]
fn a_change_that_is_killed_leaves_one_that_works() {
    let installation = installation();
    let mut changed = 0;
    for round in 0..40 {
        let before = fs::read(installation.path().join(KEY)).unwrap();
        let mut child = installation.command(&["key", "rotate-master"]).spawn().unwrap();
        lapse(Duration::from_micros(round * 1500));
        let _ = child.kill();
        child.wait().unwrap();
        let server = serves_well(&installation, QUICK);
        server.session();
        no_alarm(&server.stop());
        let after = fs::read(installation.path().join(KEY)).unwrap();
        changed += u32::from(after != before);
        let report = installation.json(&["check"]);
        assert_eq!((&report["ok"], &report["keys"]), (&json!(true), &json!(1)), "{report}");
    }
    // The next rotation removes the rest of one that did not reach its transaction.
    installation.json(&["key", "rotate-master"]);
    everything_opens(&installation);
    println!("40 changes killed, {changed} of them were done");
    assert!(changed > 0, "none was killed late");
}

#[test]
fn a_key_that_strangers_read_or_write_is_refused() {
    let installation = installation();
    let key = installation.path().join(KEY);
    for mode in [0o600, 0o400, 0o440, 0o640] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        no_alarm(&serves_well(&installation, QUICK).stop());
        assert_eq!(installation.json(&["check"])["ok"], true, "{mode:o}");
        assert_eq!(installation.json(&["key", "list"]).as_array().unwrap().len(), 1, "{mode:o}");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, mode, "its mode stays");
    }
    for mode in [0o644, 0o604, 0o660, 0o620, 0o602, 0o444] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        all_refuse(&installation, &["others can read the master key", "chmod 600"]);
    }
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    no_alarm(&serves_well(&installation, QUICK).stop());
}
