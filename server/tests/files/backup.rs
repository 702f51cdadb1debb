//! Backups while tickets are redeemed, and what becomes of them when they are restored.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use gatepass_tests::suite::sign_in;

use crate::harness::{
    DATABASE, KEY, LOG, QUICK, Running, SLOW, Session, Snapshot, WITNESS, aside, below, copy, no_server,
    poll, serves_well, site, sql, text,
};
use crate::site::{Site, read, told};

/// What was issued, and what of it was used, as far as it was answered.
#[derive(Default)]
struct Issued {
    sessions: Vec<Session>,
    open: Vec<String>,
}

/// Has four clients issue and redeem while `meanwhile` goes on.
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

/// An empty directory with the master key of `of`.
fn with_key_of(of: &Site) -> Site {
    let site = Site::new();
    copy(of.path(), site.path(), &[KEY]);
    site
}

fn count(path: &Path, table: &str) -> usize {
    let db = rusqlite::Connection::open(path).unwrap();
    let count: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}

/// Restores a backup and serves it: everything issued before is refused, and what is issued from now on is good.
fn everything_issued_is_refused(site: &Site, source: &Issued) {
    let server = Running::start(site, QUICK);
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
    assert_eq!(site.json(&["check"])["ok"], true);
    assert_eq!(good, (0, 0), "tickets and refresh tokens of before the restore that were good");
}

#[test]
fn a_backup_under_load_has_everything_that_was_answered_before_it_began() {
    let site = site();
    let server = serves_well(&site, QUICK);
    let copies = aside();
    let files = [below(&copies, "one"), below(&copies, "two")];
    let (_, answered) = under_load(&server, |issued| {
        files
            .iter()
            .map(|file| {
                let before = issued.lock().unwrap().sessions.len();
                // To a file, and to standard output.
                if file.ends_with("one") {
                    let made = site.json(&["backup", text(file)]);
                    assert_eq!(made["audit_verified"], true, "{made}");
                } else {
                    let output = site.run(&["backup", "-"]);
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
        let restored = with_key_of(&site);
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
    let site = site();
    let server = serves_well(&site, QUICK);
    let copies = aside();
    let file = below(&copies, "copy");
    let (issued, ()) = under_load(&server, |_| drop(site.json(&["backup", text(&file)])));
    server.stop();
    let restored = with_key_of(&site);
    restored.json(&["restore", text(&file)]);
    everything_issued_is_refused(&restored, &issued);
    // In the place of the newer state it came from, too.
    let told = site.json(&["restore", text(&file), "--replace"]);
    assert!(!told["notices"].as_array().unwrap().is_empty(), "{told}");
    everything_issued_is_refused(&site, &issued);
}

#[test]
fn a_backup_that_is_copied_over_the_database_counts_as_restored() {
    let site = site();
    let server = serves_well(&site, QUICK);
    let issued = Issued { sessions: vec![server.session()], open: vec![server.ticket()] };
    let copies = aside();
    let file = below(&copies, "copy");
    site.json(&["backup", text(&file)]);
    server.stop();
    fs::copy(&file, site.path().join(DATABASE)).unwrap();
    // Where a generation followed the backup, it is an older state beside that.
    let report: serde_json::Value = serde_json::from_slice(&site.run(&["--json", "check"]).stdout).unwrap();
    assert!(codes(&report).contains(&"copy-not-taken"), "{report}");
    everything_issued_is_refused(&site, &issued);
}

#[test]
fn a_backup_over_a_file_that_is_there_is_refused() {
    let site = site();
    let copies = aside();
    for content in ["", "something"] {
        let file = below(&copies, "there");
        fs::write(&file, content).unwrap();
        let before = Snapshot::of(copies.path());
        let (code, said) = site.refused(&["backup", text(&file)]);
        assert!(code == 1 && said.contains("is there already"), "{said}");
        before.holds(copies.path(), "a backup");
    }
    let (code, said) = site.refused(&["backup", text(&below(&copies, "nowhere/copy"))]);
    assert!(code == 1 && said.contains("nowhere"), "{said}");
    assert_eq!(fs::read_dir(copies.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_restore_clobbers_nothing_and_keeps_what_it_replaces() {
    let site = site();
    let copies = aside();
    let file = below(&copies, "copy");
    site.json(&["backup", text(&file)]);
    site.json(&["user", "add", "later"]);

    let before = Snapshot::of(site.path());
    let (code, said) = site.refused(&["restore", text(&file)]);
    assert!(code == 1 && said.contains("--replace"), "{said}");
    before.holds(site.path(), "a restore");

    let server = serves_well(&site, SLOW);
    server.session();
    for replace in [&[][..], &["--replace"]] {
        let bytes = fs::read(site.path().join(DATABASE)).unwrap();
        let (code, said) = site.refused(&[&["restore", text(&file)], replace].concat());
        assert!(code == 1 && said.contains("stop the server"), "{said}");
        assert!(fs::read(site.path().join(DATABASE)).unwrap() == bytes);
    }
    assert_eq!(server.redeem(&server.ticket()).status, 200, "it serves on");
    // Of a killed server: what its log holds goes into the file that is kept.
    server.kill();
    let told = site.json(&["restore", text(&file), "--replace"]);
    let kept = told["replaced"].as_str().unwrap();
    assert_eq!(count(Path::new(kept), "users"), 2);
    assert_eq!(count(Path::new(kept), "tickets"), 2);
    assert!(!site.path().join(LOG).exists());
    assert_eq!(site.json(&["user", "list"]).as_array().unwrap().len(), 1);
    let again = site.json(&["restore", text(&file), "--replace"]);
    assert_ne!(again["replaced"], told["replaced"], "nor is what was kept clobbered");
    assert!(Path::new(kept).exists());
}

#[test]
fn a_log_without_its_database_stands_in_the_way_of_a_restore() {
    let site = site();
    let copies = aside();
    let file = below(&copies, "copy");
    site.json(&["backup", text(&file)]);
    let server = serves_well(&site, SLOW);
    server.session();
    server.kill();
    fs::remove_file(site.path().join(DATABASE)).unwrap();
    let log = fs::read(site.path().join(LOG)).unwrap();
    let before = Snapshot::of(site.path());
    let (code, said) = site.refused(&["restore", text(&file)]);
    assert!(code == 1 && said.contains("--replace"), "{said}");
    before.holds(site.path(), "a restore");
    site.json(&["restore", text(&file), "--replace"]);
    let kept =
        fs::read_dir(site.path()).unwrap().any(|entry| fs::read(entry.unwrap().path()).unwrap() == log);
    assert!(kept, "the log is kept under another name");
    assert_eq!(site.json(&["check"])["ok"], true);
}

#[test]
fn what_is_no_whole_backup_is_refused_and_nothing_is_touched() {
    let (site, stranger) = (site(), site());
    let copies = aside();
    let (good, strange) = (below(&copies, "good"), below(&copies, "strange"));
    site.json(&["backup", text(&good)]);
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
        make("key", &fs::read(site.path().join(KEY)).unwrap()),
        strange,
        below(&copies, "nothing"),
        copies.path().to_owned(),
    ];
    let songs = below(&copies, "songs");
    rusqlite::Connection::open(&songs).unwrap().execute_batch("CREATE TABLE songs (name)").unwrap();
    bad.push(songs);
    // In the first bytes of every page: its kind, the counts of its cells.
    for page in 0..bytes.len() / 4096 {
        let at = if page == 0 { 100 } else { page * 4096 };
        bad.push(make(&format!("page-{page}"), &flipped(at)));
    }

    // In the audit chain: the rows read well, and only the keyed hash tells.
    let altered = make("altered", &bytes);
    rusqlite::Connection::open(&altered)
        .unwrap()
        .execute("UPDATE audit SET at = at + 1 WHERE seq = 1", [])
        .unwrap();
    bad.push(altered);

    let targets = [with_key_of(&site), with_key_of(&site)];
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
    // What a free page holds is nothing.
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
    let site = site();
    let server = serves_well(&site, SLOW);
    server.session();
    server.kill();
    let copies = aside();
    copy(site.path(), copies.path(), &[DATABASE, LOG]);
    let target = with_key_of(&site);
    let before = Snapshot::of(target.path());
    let (code, said) = target.refused(&["restore", text(&below(&copies, DATABASE))]);
    assert!(code == 1 && said.contains("gatepass backup"), "{said}");
    before.holds(target.path(), "a restore");
}

#[test]
fn a_backup_is_restored_before_its_master_key_is_there() {
    let site = site();
    let server = serves_well(&site, QUICK);
    let issued = Issued { sessions: vec![server.session()], open: vec![server.ticket()] };
    server.stop();
    let copies = aside();
    let file = below(&copies, "copy");
    site.json(&["backup", text(&file)]);
    let target = Site::new();
    let told = target.json(&["restore", text(&file)]);
    assert_eq!((&told["taken"], &told["audit_verified"]), (&false.into(), &false.into()), "{told}");
    let said = no_server(&target, QUICK);
    assert!(said.contains("master.key"), "{said}");
    copy(site.path(), target.path(), &[KEY]);
    everything_issued_is_refused(&target, &issued);
}

#[test]
fn a_restore_that_is_killed_leaves_the_former_state_or_the_restored_one() {
    let site = site();
    let copies = aside();
    let file = below(&copies, "copy");
    site.json(&["backup", text(&file)]);
    site.json(&["user", "add", "later"]);
    let (mut former, mut restored) = (0, 0);
    for round in 0..30 {
        let target = Site::new();
        copy(site.path(), target.path(), &[DATABASE, KEY, WITNESS]);
        let mut child = target.command(&["restore", text(&file), "--replace"]).spawn().unwrap();
        crate::harness::lapse(std::time::Duration::from_millis(round * 3));
        let _ = child.kill();
        child.wait().unwrap();
        // Between two renames there may be no database; then it says so, and a restore goes on.
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
        // What is left of a draft goes with the next restore.
        target.json(&["restore", text(&file), "--replace"]);
        let names = fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name.to_string_lossy().contains("restoring")).count(), 0);
    }
    println!("30 restores killed: {former} left the former state, {restored} the restored one");
    assert!(former > 0);
}

#[test]
fn a_backup_killed_leaves_no_file_of_its_name() {
    let site = site();
    let copies = aside();
    let file = below(&copies, "copy");
    let mut made = 0;
    for round in 0..20 {
        let mut child = site.command(&["backup", text(&file)]).spawn().unwrap();
        crate::harness::lapse(std::time::Duration::from_millis(round * 3));
        let _ = child.kill();
        child.wait().unwrap();
        if file.exists() {
            made += 1;
            with_key_of(&site).json(&["restore", text(&file)]);
            fs::remove_file(&file).unwrap();
        }
    }
    println!("20 backups killed, {made} of them were whole by then");
    let db = sql(&site);
    assert!(db.query_row("SELECT copied_at IS NULL FROM meta", [], |row| row.get::<_, bool>(0)).unwrap());
    let answer = serves_well(&site, QUICK);
    assert_eq!(answer.ask(&sign_in("tkt_x")).status, 400);
}
