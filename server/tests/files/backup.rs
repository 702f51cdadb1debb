//! Backups while tickets are redeemed, and the state after a restore.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use gatepass_tests::suite::sign_in;

use crate::harness::{
    DATABASE, KEY, LOG, QUICK, Running, SLOW, Session, Snapshot, WITNESS, aside, below, copy, installation,
    poll, refused_start, serves_well, sql, text,
};
use crate::installation::{TestInstallation, read, told};

/// The tickets that were issued, and those that were redeemed, as far as answered.
#[derive(Default)]
struct Issued {
    sessions: Vec<Session>,
    open: Vec<String>,
}

/// Lets four clients issue and redeem while `meanwhile` runs.
fn under_load<T>(server: &Running, meanwhile: impl FnOnce(&Mutex<Issued>) -> T) -> (Issued, T) {
    let (issued, over) = (Mutex::new(Issued::default()), AtomicBool::new(false));
    let made = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    let session = server.session();
                    let ticket = server.ticket();
                    let mut issued = issued.lock().unwrap();
                    issued.sessions.push(session);
                    issued.open.push(ticket);
                }
            });
        }
        poll("there is something to copy", || (issued.lock().unwrap().sessions.len() >= 12).then_some(()));
        let made = meanwhile(&issued);
        over.store(true, SeqCst);
        made
    });
    (issued.into_inner().unwrap(), made)
}

fn codes(report: &serde_json::Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// Makes an empty directory with the master key of `of`.
fn with_key_of(of: &TestInstallation) -> TestInstallation {
    let installation = TestInstallation::new();
    copy(of.path(), installation.path(), &[KEY]);
    installation
}

fn count(path: &Path, table: &str) -> usize {
    let db = rusqlite::Connection::open(path).unwrap();
    let count: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}

/// Restores a backup and serves it. Everything issued before is refused, and what is issued afterwards is good.
fn everything_issued_is_refused(installation: &TestInstallation, source: &Issued) {
    let server = Running::start(installation, QUICK);
    let mut good = (0, 0);
    for ticket in source.open.iter().chain(source.sessions.iter().map(|session| &session.ticket)) {
        good.0 += usize::from(server.redeem(ticket).status == 200);
    }
    for session in &source.sessions {
        good.1 += usize::from(server.refresh(&session.refresh).status == 200);
    }
    let session = server.session();
    assert_eq!(server.redeem(&session.ticket).status, 400);
    assert_eq!(server.refresh(&session.refresh).status, 200);
    server.stop();
    assert_eq!(installation.json(&["check"])["ok"], true);
    assert_eq!(good, (0, 0), "tickets and refresh tokens of before the restore that were good");
}

#[test]
fn a_backup_under_load_has_everything_that_was_answered_before_it_began() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let copies = aside();
    let files = [below(&copies, "one"), below(&copies, "two")];
    let (_, answered) = under_load(&server, |issued| {
        files
            .iter()
            .map(|file| {
                let before = issued.lock().unwrap().sessions.len();
                // To a file, and to standard output.
                if file.ends_with("one") {
                    let made = installation.json(&["backup", text(file)]);
                    assert_eq!(made["audit_verified"], true, "{made}");
                } else {
                    let output = installation.run(&["backup", "-"]);
                    assert!(output.status.success(), "{output:?}");
                    assert!(String::from_utf8_lossy(&output.stderr).contains("audit_head="), "{output:?}");
                    fs::write(file, output.stdout).unwrap();
                }
                before
            })
            .collect::<Vec<usize>>()
    });
    server.stop();
    for (file, answered) in files.iter().zip(answered) {
        let restored = with_key_of(&installation);
        let told = restored.json(&["restore", text(file)]);
        assert_eq!((&told["taken"], &told["audit_verified"]), (&true.into(), &true.into()), "{told}");
        assert_eq!(restored.json(&["check"])["ok"], true);
        assert_eq!(restored.json(&["audit", "verify"])["valid"], true);
        let database = restored.path().join(DATABASE);
        assert!(count(&database, "sessions") >= answered && count(&database, "tickets") >= 2 * answered);
        assert_eq!(restored.json(&["user", "list"]).as_array().unwrap().len(), 1);
    }
}

#[test]
fn what_was_issued_before_a_restore_is_refused() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let copies = aside();
    let file = below(&copies, "copy");
    let (issued, ()) = under_load(&server, |_| drop(installation.json(&["backup", text(&file)])));
    server.stop();
    let restored = with_key_of(&installation);
    restored.json(&["restore", text(&file)]);
    everything_issued_is_refused(&restored, &issued);
    // Also over the newer state that it came from.
    let told = installation.json(&["restore", text(&file), "--replace"]);
    assert!(!told["notices"].as_array().unwrap().is_empty(), "{told}");
    everything_issued_is_refused(&installation, &issued);
}

#[test]
fn a_backup_that_is_copied_over_the_database_counts_as_restored() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let issued = Issued { sessions: vec![server.session()], open: vec![server.ticket()] };
    let copies = aside();
    let file = below(&copies, "copy");
    installation.json(&["backup", text(&file)]);
    server.stop();
    fs::copy(&file, installation.path().join(DATABASE)).unwrap();
    // If a generation followed the backup, it also counts as an older state.
    let report: serde_json::Value =
        serde_json::from_slice(&installation.run(&["--json", "check"]).stdout).unwrap();
    assert!(codes(&report).contains(&"copy-not-taken"), "{report}");
    everything_issued_is_refused(&installation, &issued);
}

#[test]
fn a_backup_over_a_file_that_is_there_is_refused() {
    let installation = installation();
    let copies = aside();
    for content in ["", "something"] {
        let file = below(&copies, "there");
        fs::write(&file, content).unwrap();
        let before = Snapshot::of(copies.path());
        let (code, said) = installation.refused(&["backup", text(&file)]);
        assert!(code == 1 && said.contains("is there already"), "{said}");
        before.holds(copies.path(), "a backup");
    }
    let (code, said) = installation.refused(&["backup", text(&below(&copies, "nowhere/copy"))]);
    assert!(code == 1 && said.contains("nowhere"), "{said}");
    assert_eq!(fs::read_dir(copies.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_restore_clobbers_nothing_and_keeps_what_it_replaces() {
    let installation = installation();
    let copies = aside();
    let file = below(&copies, "copy");
    installation.json(&["backup", text(&file)]);
    installation.json(&["user", "add", "later"]);

    let before = Snapshot::of(installation.path());
    let (code, said) = installation.refused(&["restore", text(&file)]);
    assert!(code == 1 && said.contains("--replace"), "{said}");
    before.holds(installation.path(), "a restore");

    let server = serves_well(&installation, SLOW);
    server.session();
    for replace in [&[][..], &["--replace"]] {
        let bytes = fs::read(installation.path().join(DATABASE)).unwrap();
        let (code, said) = installation.refused(&[&["restore", text(&file)], replace].concat());
        assert!(code == 1 && said.contains("stop the server"), "{said}");
        assert!(fs::read(installation.path().join(DATABASE)).unwrap() == bytes);
    }
    assert_eq!(server.redeem(&server.ticket()).status, 200, "it serves on");
    // Of a killed server: the kept file contains its log.
    server.kill();
    let told = installation.json(&["restore", text(&file), "--replace"]);
    let kept = told["replaced"].as_str().unwrap();
    assert_eq!(count(Path::new(kept), "users"), 2);
    assert_eq!(count(Path::new(kept), "tickets"), 2);
    assert!(!installation.path().join(LOG).exists());
    assert_eq!(installation.json(&["user", "list"]).as_array().unwrap().len(), 1);
    let again = installation.json(&["restore", text(&file), "--replace"]);
    assert_ne!(again["replaced"], told["replaced"], "nor is what was kept clobbered");
    assert!(Path::new(kept).exists());
}

#[test]
fn a_log_without_its_database_stands_in_the_way_of_a_restore() {
    let installation = installation();
    let copies = aside();
    let file = below(&copies, "copy");
    installation.json(&["backup", text(&file)]);
    let server = serves_well(&installation, SLOW);
    server.session();
    server.kill();
    fs::remove_file(installation.path().join(DATABASE)).unwrap();
    let log = fs::read(installation.path().join(LOG)).unwrap();
    let before = Snapshot::of(installation.path());
    let (code, said) = installation.refused(&["restore", text(&file)]);
    assert!(code == 1 && said.contains("--replace"), "{said}");
    before.holds(installation.path(), "a restore");
    installation.json(&["restore", text(&file), "--replace"]);
    let kept = fs::read_dir(installation.path())
        .unwrap()
        .any(|entry| fs::read(entry.unwrap().path()).unwrap() == log);
    assert!(kept, "the log is kept under another name");
    assert_eq!(installation.json(&["check"])["ok"], true);
}

#[test]
fn what_is_no_whole_backup_is_refused_and_nothing_is_touched() {
    let (installation, stranger) = (installation(), installation());
    let copies = aside();
    let (good, strange) = (below(&copies, "good"), below(&copies, "strange"));
    installation.json(&["backup", text(&good)]);
    stranger.json(&["backup", text(&strange)]);
    let bytes = fs::read(&good).unwrap();
    let make = |name: &str, bytes: &[u8]| {
        fs::write(below(&copies, name), bytes).unwrap();
        below(&copies, name)
    };
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut bad = vec![
        make("empty", b""),
        make("text", &b"hello ".repeat(1000)),
        make("half", &bytes[..bytes.len() / 8192 * 4096]),
        make("one-page", &bytes[..4096]),
        make("short-by-one", &bytes[..bytes.len() - 1]),
        make("longer", &[&bytes[..], &[0; 4096]].concat()),
        make("key", &fs::read(installation.path().join(KEY)).unwrap()),
        strange,
        below(&copies, "nothing"),
        copies.path().to_owned(),
    ];
    let songs = below(&copies, "songs");
    rusqlite::Connection::open(&songs).unwrap().execute_batch("CREATE TABLE songs (name)").unwrap();
    bad.push(songs);
    // In the first bytes of every page: its kind and its cell counts.
    for page in 0..bytes.len() / 4096 {
        let at = if page == 0 { 100 } else { page * 4096 };
        bad.push(make(&format!("page-{page}"), &flipped(at)));
    }

    // In the audit chain: the rows decode, and only the keyed hash differs.
    let altered = make("altered", &bytes);
    rusqlite::Connection::open(&altered)
        .unwrap()
        .execute("UPDATE audit SET at = at + 1 WHERE seq = 1", [])
        .unwrap();
    bad.push(altered);

    let targets = [with_key_of(&installation), with_key_of(&installation)];
    targets[1].json(&["--init", "user", "add", "there"]);
    let mut taken = Vec::new();
    for target in &targets {
        for file in &bad {
            let before = Snapshot::of(target.path());
            let output = target.run(&["restore", text(file), "--replace"]);
            if output.status.success() {
                taken.push(file.clone());
                continue;
            }
            let (code, said) = told(&output);
            assert_eq!(code, 1, "{}: {said}", file.display());
            before.holds(target.path(), &format!("restoring {}", file.display()));
        }
    }
    // The content of a free page does not matter.
    let free: usize = rusqlite::Connection::open(&good)
        .unwrap()
        .query_row("PRAGMA freelist_count", [], |row| row.get::<_, u32>(0))
        .unwrap()
        .try_into()
        .unwrap();
    let is_page =
        |file: &std::path::PathBuf| file.file_name().unwrap().to_string_lossy().starts_with("page-");
    assert!(
        taken.len() <= targets.len() * free && taken.iter().all(is_page),
        "taken for good: {taken:?}, {free} free pages"
    );
    targets[0].json(&["restore", text(&good), "--replace"]);
    let input = fs::File::open(&good).unwrap();
    let from_stdin =
        targets[1].command(&["--json", "restore", "-", "--replace"]).stdin(input).output().unwrap();
    assert_eq!(read(&["restore", "-"], &from_stdin, 0)["taken"], true);
}

#[test]
fn a_database_with_a_log_beside_it_is_no_backup() {
    let installation = installation();
    let server = serves_well(&installation, SLOW);
    server.session();
    server.kill();
    let copies = aside();
    copy(installation.path(), copies.path(), &[DATABASE, LOG]);
    let target = with_key_of(&installation);
    let before = Snapshot::of(target.path());
    let (code, said) = target.refused(&["restore", text(&below(&copies, DATABASE))]);
    assert!(code == 1 && said.contains("gatepass backup"), "{said}");
    before.holds(target.path(), "a restore");
}

#[test]
fn a_backup_is_restored_before_its_master_key_is_there() {
    let installation = installation();
    let server = serves_well(&installation, QUICK);
    let issued = Issued { sessions: vec![server.session()], open: vec![server.ticket()] };
    server.stop();
    let copies = aside();
    let file = below(&copies, "copy");
    installation.json(&["backup", text(&file)]);
    let target = TestInstallation::new();
    let told = target.json(&["restore", text(&file)]);
    assert_eq!((&told["taken"], &told["audit_verified"]), (&false.into(), &false.into()), "{told}");
    let said = refused_start(&target, QUICK);
    assert!(said.contains("master.key"), "{said}");
    copy(installation.path(), target.path(), &[KEY]);
    everything_issued_is_refused(&target, &issued);
}

#[test]
fn a_restore_that_is_killed_leaves_the_former_state_or_the_restored_one() {
    let installation = installation();
    let copies = aside();
    let file = below(&copies, "copy");
    installation.json(&["backup", text(&file)]);
    installation.json(&["user", "add", "later"]);
    let (mut former, mut restored) = (0, 0);
    for round in 0..30 {
        let target = TestInstallation::new();
        copy(installation.path(), target.path(), &[DATABASE, KEY, WITNESS]);
        let mut child = target.command(&["restore", text(&file), "--replace"]).spawn().unwrap();
        crate::harness::lapse(std::time::Duration::from_millis(round * 3));
        let _ = child.kill();
        child.wait().unwrap();
        // Between two renames there may be no database. The start says so, and a restore goes on.
        if !target.path().join(DATABASE).exists() {
            target.json(&["restore", text(&file), "--replace"]);
        }
        let server = Running::start(&target, QUICK);
        server.session();
        server.stop();
        match target.json(&["user", "list"]).as_array().unwrap().len() {
            2 => former += 1,
            1 => restored += 1,
            people => panic!("{people} people"),
        }
        assert_eq!(target.json(&["check"])["ok"], true);
        // The next restore removes what is left of a draft.
        target.json(&["restore", text(&file), "--replace"]);
        let names = fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name.to_string_lossy().contains("restoring")).count(), 0);
    }
    println!("30 restores killed: {former} left the former state, {restored} the restored one");
    assert!(former > 0);
}

#[test]
fn a_backup_killed_leaves_no_file_of_its_name() {
    let installation = installation();
    let copies = aside();
    let file = below(&copies, "copy");
    let mut made = 0;
    for round in 0..20 {
        let mut child = installation.command(&["backup", text(&file)]).spawn().unwrap();
        crate::harness::lapse(std::time::Duration::from_millis(round * 3));
        let _ = child.kill();
        child.wait().unwrap();
        if file.exists() {
            made += 1;
            with_key_of(&installation).json(&["restore", text(&file)]);
            fs::remove_file(&file).unwrap();
        }
    }
    println!("20 backups killed, {made} of them were whole by then");
    let db = sql(&installation);
    assert!(db.query_row("SELECT copied_at IS NULL FROM meta", [], |row| row.get::<_, bool>(0)).unwrap());
    let answer = serves_well(&installation, QUICK);
    assert_eq!(answer.ask(&sign_in("tkt_x")).status, 400);
}
