//! A server with its log, requests to it, and snapshots of a directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use gatepass_tests::fixtures::BACKEND_SECRET;
use gatepass_tests::http::{Answer, Reached, TestRequest};
use gatepass_tests::suite::{refresh, sign_in};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::installation::{TestInstallation, read};

/// Arguments of a server that makes generations, and empties its log, as often as possible.
pub(crate) const QUICK: &[&str] = &["--issuer", "http://gate.example", "--witness-interval", "100ms"];
/// Arguments of a server that does not empty its log while it runs.
pub(crate) const SLOW: &[&str] = &["--issuer", "http://gate.example", "--witness-interval", "1h"];

pub(crate) const DATABASE: &str = "gatepass.db";
pub(crate) const LOG: &str = "gatepass.db-wal";
pub(crate) const INDEX: &str = "gatepass.db-shm";
pub(crate) const KEY: &str = "master.key";
pub(crate) const WITNESS: &str = "gatepass.witness";

/// The longest wait for anything.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The time between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Polls until `look` returns a value.
pub(crate) fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Makes an installation with a user, alice, and a client, backend, that issues tickets.
pub(crate) fn installation() -> TestInstallation {
    let installation = TestInstallation::with_key();
    with_people(&installation);
    installation
}

/// Makes such an installation in an empty directory.
pub(crate) fn install_at(installation: &TestInstallation) {
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    with_people(installation);
}

fn with_people(installation: &TestInstallation) {
    let add = ["--json", "client", "add", "backend", "--scope", "ticket:issue profile", "--secret-stdin"];
    read(&add, &installation.run_with(&add, BACKEND_SECRET), 0);
    installation.json(&["user", "add", "alice"]);
}

/// Makes an empty directory that is no installation.
pub(crate) fn aside() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A server with its log; killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) ready: Value,
    log: NamedTempFile,
    quick: bool,
}

/// A server that did not start, and its message.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl Running {
    pub(crate) fn start(installation: &TestInstallation, arguments: &[&str]) -> Self {
        Self::try_start(installation, arguments)
            .unwrap_or_else(|refused| panic!("it does not serve: {refused:?}"))
    }

    pub(crate) fn try_start(installation: &TestInstallation, arguments: &[&str]) -> Result<Self, Refused> {
        Self::try_start_as(installation, &["--json", "serve", "--listen", "127.0.0.1:0"], arguments)
    }

    /// Starts `command` instead of the usual one.
    pub(crate) fn try_start_as(
        installation: &TestInstallation,
        command: &[&str],
        arguments: &[&str],
    ) -> Result<Self, Refused> {
        let log = NamedTempFile::new().unwrap();
        let mut command = installation.command(&[command, arguments].concat());
        let mut child = command.stderr(log.reopen().unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let code = child.wait().unwrap().code();
            return Err(Refused { code, said: fs::read_to_string(log.path()).unwrap() });
        }
        let quick = arguments.starts_with(QUICK);
        Ok(Self { child, ready: serde_json::from_str(&line).unwrap(), log, quick })
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// Returns true if the server makes generations as often as possible.
    pub(crate) const fn is_quick(&self) -> bool {
        self.quick
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request that must be answered.
    pub(crate) fn ask(&self, ask: &TestRequest) -> Answer {
        match ask.try_to(self.ready["listening"].as_str().unwrap().parse().unwrap()) {
            Reached::Answered(answer) => answer,
            Reached::Lost => panic!("the answer was lost: {}", self.log()),
            Reached::Unsent => panic!("it was not reached: {}", self.log()),
        }
    }

    /// Asks for a ticket for alice. Returns the answer.
    pub(crate) fn generate(&self) -> Result<Answer, Answer> {
        let form = TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=ticket:issue");
        let token = self.ask(&form.basic("backend", BACKEND_SECRET));
        if token.status != 200 {
            return Err(token);
        }
        let body = json!({"user_id": "alice", "ttl": 3600});
        Ok(self.ask(&TestRequest::json("/auth/generate-ticket", &body).bearer(&token.text("access_token"))))
    }

    /// Issues a ticket for alice.
    pub(crate) fn ticket(&self) -> String {
        let answer = self.generate().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}: {}", self.log());
        answer.text("ticket")
    }

    /// Presents a ticket.
    pub(crate) fn redeem(&self, ticket: &str) -> Answer {
        self.ask(&sign_in(ticket))
    }

    /// Opens a session of alice by a new ticket.
    pub(crate) fn session(&self) -> Session {
        let ticket = self.ticket();
        let answer = self.redeem(&ticket);
        assert_eq!(answer.status, 200, "{answer:?}: {}", self.log());
        Session { ticket, refresh: answer.text("refresh_token"), access: answer.text("access_token") }
    }

    /// Presents a refresh token.
    pub(crate) fn refresh(&self, token: &str) -> Answer {
        self.ask(&refresh(token))
    }

    /// Returns the status of `/readyz`.
    pub(crate) fn readiness(&self) -> u16 {
        self.ask(&TestRequest::new("GET", "/readyz")).status
    }

    /// Ends it at once, as a power loss would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the server, waits, and returns its log.
    pub(crate) fn stop(mut self) -> String {
        signal(self.id(), "-TERM");
        let ended = self.child.wait().unwrap();
        assert!(ended.success(), "{ended}: {}", self.log());
        self.log()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The tokens that alice was given.
pub(crate) struct Session {
    pub(crate) ticket: String,
    pub(crate) refresh: String,
    pub(crate) access: String,
}

pub(crate) fn signal(id: u32, name: &str) {
    let id = id.to_string();
    assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// Checks that a server does not start, and returns its one line of explanation.
pub(crate) fn refused_start(installation: &TestInstallation, arguments: &[&str]) -> String {
    refused_start_as(installation, &["serve", "--listen", "127.0.0.1:0"], arguments)
}

/// Checks the same of `command` instead of the usual one.
pub(crate) fn refused_start_as(
    installation: &TestInstallation,
    command: &[&str],
    arguments: &[&str],
) -> String {
    match Running::try_start_as(installation, &[&["--json"], command].concat(), arguments) {
        Ok(server) => panic!("it serves: {}", server.log()),
        Err(Refused { code, said }) => {
            assert_eq!(code, Some(1), "{said}");
            said.lines().last().unwrap_or_default().to_owned()
        }
    }
}

/// Checks that neither a server nor a command works here, that each prints one line with all of `words`, and that nothing
/// changes.
pub(crate) fn all_refuse(installation: &TestInstallation, words: &[&str]) {
    let before = Snapshot::of(installation.path());
    let holds = |said: &str, of: &str| {
        for word in words {
            assert!(said.contains(word), "{of} does not say {word:?}: {said}");
        }
    };
    holds(&refused_start(installation, QUICK), "serve");
    before.holds(installation.path(), "serve");
    let elsewhere = aside();
    let copy = elsewhere.path().join("copy");
    for command in [
        &["user", "add", "eve"][..],
        &["user", "list"],
        &["ticket", "issue", "--user", "alice"],
        &["key", "rotate"],
        &["clock", "reset"],
        &["audit", "verify"],
        &["backup", copy.to_str().unwrap()],
    ] {
        let (code, said) = installation.refused(command);
        assert_eq!(code, 1, "{command:?}: {said}");
        holds(&said, &format!("{command:?}"));
        before.holds(installation.path(), &format!("{command:?}"));
    }
    assert!(!copy.exists(), "a backup of what cannot be read");
    assert_eq!(installation.no(&["check"])["ok"], false);
    before.holds(installation.path(), "check");
}

/// Every file of a directory: name, mode, time of change, size and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<String, (u32, i64, i64, u64, u64)>);

impl Snapshot {
    pub(crate) fn of(dir: &Path) -> Self {
        let entries = fs::read_dir(dir).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            let mut hasher = DefaultHasher::new();
            if about.is_file() {
                fs::read(entry.path()).unwrap().hash(&mut hasher);
            }
            let told =
                (about.permissions().mode(), about.mtime(), about.mtime_nsec(), about.len(), hasher.finish());
            (entry.file_name().into_string().unwrap(), told)
        });
        Self(entries.collect())
    }

    /// Checks that the directory is unchanged.
    #[track_caller]
    pub(crate) fn holds(&self, dir: &Path, after: &str) {
        let now = Self::of(dir);
        for name in self.0.keys().chain(now.0.keys()) {
            let (was, is) = (self.0.get(name), now.0.get(name));
            if name == INDEX && was.is_some() && is.is_some() {
                // Its content is SQLite's memory. The first to open the log rebuilds it.
                continue;
            }
            assert_eq!(was, is, "{name} after {after} (mode, time, its nanoseconds, size, content)");
        }
    }
}

/// Returns the size of a file, or `None` if there is no such file.
pub(crate) fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|about| about.len())
}

/// Copies those of `names` that exist.
pub(crate) fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// Waits until the log of an idle server is empty.
pub(crate) fn wait_until_quiet(installation: &TestInstallation) {
    poll("the log is empty", || (size(&installation.path().join(LOG)).unwrap_or(0) == 0).then_some(()));
}

/// Runs `operation`, and waits until the witness has changed.
pub(crate) fn until_generation<T>(installation: &TestInstallation, operation: impl FnOnce() -> T) -> T {
    let path = installation.path().join(WITNESS);
    let before = fs::read(&path).unwrap();
    let done = operation();
    poll("a new generation", || (fs::read(&path).ok()? != before).then_some(()));
    done
}

/// Starts a server that must report no problem.
pub(crate) fn serves_well(installation: &TestInstallation, arguments: &[&str]) -> Running {
    let server = Running::start(installation, arguments);
    no_alarm(&server.log());
    server
}

/// Checks that a log reports no older state.
#[track_caller]
pub(crate) fn no_alarm(log: &str) {
    for word in ["older than", "superseded", "restored", "\"level\":\"ERROR\""] {
        assert!(!log.contains(word), "{word:?} is in the log: {log}");
    }
}

/// Opens the database directly.
pub(crate) fn sql(installation: &TestInstallation) -> rusqlite::Connection {
    rusqlite::Connection::open(installation.path().join(DATABASE)).unwrap()
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes `bytes` over a file, which stays the same file.
pub(crate) fn overwrite(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    let mut file = File::options().write(true).truncate(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// A path below a directory.
pub(crate) fn below(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

/// Waits before a kill. The exact moment is random on purpose.
pub(crate) fn lapse(time: Duration) {
    let end = Instant::now() + time;
    poll("the moment has come", || (Instant::now() >= end).then_some(()));
}
