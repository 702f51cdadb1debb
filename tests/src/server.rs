//! The real binary on a directory of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::fixtures::{BACKEND_SECRET, KIM_PASSWORD, PAM_PASSWORD, PORTAL_SECRET};
use crate::records::database_of_its_own;
use crate::suite::Target;

/// Returns the binary that is tested: the one that `TESTED_BINARY` names, or else one that is built as this test was.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(built) = std::env::var_os("TESTED_BINARY") {
            return built.into();
        }
        let built = built_in();
        let name = built.file_name().and_then(|name| name.to_str()).expect("a name");
        built_as(if name == "debug" { "dev" } else { name })
    })
}

/// Returns the binary, built with `profile`.
pub fn built_as(profile: &str) -> PathBuf {
    let target = built_in().parent().expect("target").to_owned();
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--quiet", "--package", "gatepass", "--profile", profile, "--target-dir"])
        .arg(&target);
    if cfg!(feature = "aws-lc") {
        build.args(["--no-default-features", "--features", "aws-lc"]);
    }
    if std::env::var_os("TESTED_STORE").is_some() {
        build.args(["--features", "postgres"]);
    }
    assert!(build.status().expect("cargo runs").success(), "the binary builds");
    target.join(if profile == "dev" { "debug" } else { profile }).join("gatepass")
}

/// `target/PROFILE`.
fn built_in() -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    test.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_owned()
}

/// A data directory, and commands on it.
#[derive(Debug)]
pub struct TestInstallation {
    dir: TempDir,
    /// The binary, if it is not [`binary`].
    binary: Option<PathBuf>,
    /// The address of the database with the records, if they are not in the directory.
    store: Option<String>,
}

/// A server running on a [`TestInstallation`]; stopped when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// The address it listens on.
    pub address: SocketAddr,
    /// The address for administration alone, if it has one.
    pub administration: Option<SocketAddr>,
}

impl TestInstallation {
    /// Makes an empty data directory.
    pub fn new() -> Self {
        Self::with_database(database_of_its_own(""))
    }

    /// Makes an empty data directory, whose records are in the database at `store` if there is one.
    pub(crate) fn with_database(store: Option<String>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir, binary: None, store }
    }

    /// Makes an empty data directory for `binary`, whose records are in the database at `store`.
    pub fn in_database(binary: &Path, store: String) -> Self {
        Self { binary: Some(binary.to_owned()), ..Self::with_database(Some(store)) }
    }

    /// Makes an empty data directory below `parent`, for tests that need a real disk.
    pub fn below(parent: &str) -> Self {
        let dir = tempfile::tempdir_in(parent).expect("a temporary directory");
        Self { dir, binary: None, store: database_of_its_own("") }
    }

    /// Returns the address of the database with the records; none if they are in the directory.
    pub fn database(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// Returns the path of the data directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns a command on this directory, with its environment cleared of settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(self.binary.as_deref().unwrap_or_else(|| binary()), arguments)
    }

    /// Returns the same command of another binary.
    pub fn command_of(&self, binary: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary);
        command.arg("--data").arg(self.path()).args(arguments);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GATEPASS_")) {
            command.env_remove(name);
        }
        command.envs(self.store.iter().map(|store| ("GATEPASS_STORE", store)));
        command
    }

    /// Runs a command with `input` as standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Runs a command with `--json` that must succeed, and returns its output.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.json_with(arguments, "")
    }

    /// Does the same with `input` as standard input.
    pub fn json_with(&self, arguments: &[&str], input: &str) -> Value {
        let output = self.run_with(&[&["--json"], arguments].concat(), input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON value")
    }

    /// Adds everyone in [`crate::fixtures`] by commands. Makes the installation if there is none.
    pub fn populate(&self) {
        self.json(&[
            "--init",
            "user",
            "add",
            "alice",
            "--email",
            "alice@example.com",
            "--phone",
            "+44 20 7946 0000",
            "--name",
            "Alice Liddell",
            "--gender",
            "female",
            "--address",
            r#"{"locality":"Oxford"}"#,
        ]);
        for name in ["boss", "fay", "lou"] {
            self.json(&["user", "add", name]);
        }
        let contact = ["--email", "pam@example.com", "--phone", "+44 20 7946 0001", "--password-stdin"];
        self.json_with(&[&["user", "add", "pam"][..], &contact].concat(), PAM_PASSWORD);
        self.json(&["user", "add", "kim"]);
        self.json_with(&["user", "set-password", "kim", "--must-change"], KIM_PASSWORD);
        self.json(&["user", "add", "gone"]);
        self.json(&["user", "disable", "gone"]);
        let backend = "ticket:issue ticket:impersonate profile email phone";
        let arguments =
            ["client", "add", "backend", "--name", "The back office", "--scope", backend, "--secret-stdin"];
        self.json_with(&arguments, BACKEND_SECRET);
        let arguments = [
            "client",
            "add",
            "portal",
            "--scope",
            "orders:read orders:write",
            "--default-scope",
            "orders:read",
            "--audience",
            "https://orders.example",
            "--trusted-context",
            "true",
            "--secret-stdin",
        ];
        self.json_with(&arguments, PORTAL_SECRET);
        self.json_with(
            &["client", "add", "closed", "--scope", "orders:read", "--secret-stdin"],
            BACKEND_SECRET,
        );
        self.json(&["client", "disable", "closed"]);
    }

    /// Starts a server on any free port with `arguments`, and waits until it prints its address.
    pub fn serve(&self, arguments: &[&str]) -> Running {
        self.serve_to(arguments, Stdio::null())
    }

    /// Does the same; the server logs to `log`.
    pub fn serve_to(&self, arguments: &[&str], log: Stdio) -> Running {
        Running::start(
            self.command(&[&["--json", "serve", "--listen", "127.0.0.1:0"], arguments].concat()),
            log,
        )
    }
}

impl Default for TestInstallation {
    fn default() -> Self {
        Self::new()
    }
}

impl Running {
    /// Starts a server by `command`, which logs to `log`, and waits until it prints its address.
    pub fn start(command: Command, log: Stdio) -> Self {
        Self::try_start(command, log).expect("it serves")
    }

    /// Does the same. Returns `None` if it ends without an address.
    pub fn try_start(mut command: Command, log: Stdio) -> Option<Self> {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().expect("the binary runs");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a line");
        if first.is_empty() {
            child.wait().expect("it ends");
            return None;
        }
        let ready: Value = serde_json::from_str(&first).expect("one JSON object");
        let address = ready["listening"].as_str().expect("an address").parse().expect("an address");
        let administration = ready["administration"].as_str().map(|text| text.parse().expect("an address"));
        Some(Self { child, address, administration })
    }

    /// Returns the server as a target of the suite.
    pub const fn target(&self) -> Target {
        Target { address: self.address }
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once, as a power loss would.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Stops it (SIGTERM) and waits. Returns true if it ended well.
    pub fn terminate(mut self) -> bool {
        self.end()
    }

    /// Does the same for a server that will be started again.
    pub fn end(&mut self) -> bool {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        asked.success() && self.child.wait().expect("it ends").success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The test may have ended it already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
