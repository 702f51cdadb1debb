//! The commands in the documents, pasted into a shell beside the real binary.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use gatepass_tests::server::{Running, TestInstallation, binary};
use tempfile::TempDir;

/// A directory with commands on `PATH`, and the variables that the documents use.
struct Shell {
    installation: TestInstallation,
    elsewhere: TempDir,
    variables: BTreeMap<&'static str, String>,
    running: Option<Running>,
}

impl Shell {
    /// Starts a server in an empty directory.
    fn new() -> Self {
        let (installation, elsewhere) = (TestInstallation::new(), tempfile::tempdir().expect("a directory"));
        std::os::unix::fs::symlink(binary(), elsewhere.path().join("gatepass")).expect("a link");
        let running = installation.serve(&[]);
        let gatepass = format!("http://{}", running.address);
        let store = installation.database().map(|store| ("GATEPASS_STORE", store.to_owned()));
        let variables = store.into_iter().chain([("GATEPASS", gatepass)]).collect();
        Self { installation, elsewhere, variables, running: Some(running) }
    }

    /// Returns a path outside of the data directory.
    fn outside(&self, name: &str) -> String {
        self.elsewhere.path().join(name).display().to_string()
    }

    /// Pastes `commands`, and returns what they print.
    fn paste(&self, commands: &str) -> String {
        let path =
            format!("{}:{}", self.elsewhere.path().display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GATEPASS_")) {
            shell.env_remove(name);
        }
        shell.args(["-euo", "pipefail", "-c", commands]).current_dir(self.installation.path());
        shell.env("PATH", path).env("GATEPASS_DATA", self.installation.path()).envs(&self.variables);
        let output = shell.output().expect("bash runs");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{commands}\n{printed}\n{errors}");
        printed
    }
}

/// Returns the blocks of a page that are for a shell.
fn blocks(page: &str) -> Vec<&str> {
    page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Returns the one block that contains `text`.
fn block<'a>(page: &'a str, text: &str) -> &'a str {
    blocks(page)
        .into_iter()
        .find(|block| block.contains(text))
        .unwrap_or_else(|| panic!("no block has {text}"))
}

/// Returns each word of `printed` that begins with `prefix`.
fn words<'a>(printed: &'a str, prefix: &str) -> Vec<&'a str> {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c));
    let at = |at| printed.get(at..).and_then(|rest: &str| rest.split(is_end).next());
    printed.match_indices(prefix).filter_map(|(index, _)| at(index)).collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name)).expect("a page")
}

fn first(printed: &str, prefix: &str) -> String {
    words(printed, prefix).first().unwrap_or_else(|| panic!("no {prefix} in {printed}")).to_string()
}

#[test]
fn a_day_with_the_readme() {
    let (readme, mut shell) = (page("README.md"), Shell::new());
    let commands = block(&readme, "gatepass user add alice");
    // Of a database, PostgreSQL's own programs make backups.
    let is_file = shell.installation.database().is_none();
    let commands = commands.lines().filter(|line| is_file || !line.starts_with("gatepass backup "));
    let registered = shell.paste(&commands.collect::<Vec<_>>().join("\n"));
    let server = shell.variables["GATEPASS"].clone();
    let signs_in = block(&readme, "/auth/ticket/signin").replace("http://127.0.0.1:8080", &server);
    let commands: Vec<String> = signs_in
        .split("\ncurl ")
        .map(|part| format!("curl -sS --fail {}", part.trim_start_matches("curl ")))
        .collect();
    let [asks, issues, redeems] = &commands[..] else { panic!("{signs_in}") };
    let token = first(&shell.paste(&asks.replace("SECRET", &first(&registered, "gps_"))), "eyJ");
    let ticket = first(&shell.paste(&issues.replace("TOKEN", &token)), "tkt_");
    let answer = shell.paste(&redeems.replace("tkt_…", &ticket));
    assert!(answer.contains("access_token"), "{answer}");
    shell.paste(block(&readme, "gatepass healthcheck"));
    shell.running.take().expect("it runs").terminate();
}

#[test]
fn a_portal_by_its_guide() {
    let (guide, mut shell) = (page("docs/integrating.md"), Shell::new());
    shell.paste("gatepass user add alice");
    let registered = shell.paste(block(&guide, "gatepass client add portal"));
    let [backend, portal] = words(&registered, "gps_")[..] else { panic!("{registered}") };
    shell.variables.extend([("BACKEND_SECRET", backend.to_owned()), ("PORTAL_SECRET", portal.to_owned())]);
    let asks = block(&guide, "/auth/generate-ticket");
    let (asks, issues) = asks.split_at(asks.rfind("\ncurl").expect("two commands"));
    let token = first(&shell.paste(asks), "eyJ");
    shell.variables.insert("TOKEN", token);
    let ticket = first(&shell.paste(issues), "tkt_");
    let person = [("USER_ADDRESS", "192.0.2.7"), ("USER_AGENT", "Firefox"), ("DEVICE", "0123456789abcdef")]
        .map(|(name, text)| (name, text.to_owned()));
    shell.variables.extend(person);
    shell.variables.insert("TICKET", ticket);
    let session = shell.paste(block(&guide, "Idempotency-Key: $KEY"));
    shell.variables.insert("REFRESH", first(&session, "rft_"));
    let ends = block(&guide, "/auth/refresh");
    let (refreshes, revokes) = ends.split_at(ends.rfind("\ncurl").expect("two commands"));
    let refreshed = first(&shell.paste(refreshes), "rft_");
    shell.variables.insert("REFRESH", refreshed);
    shell.paste(revokes);
    let over = shell.paste(refreshes);
    assert!(over.contains("40020"), "{over}");
}

#[test]
fn a_drill_by_the_operators_page() {
    let (operating, mut shell) = (page("docs/operating.md"), Shell::new());
    let (media, drill) = (shell.outside("usb"), shell.outside("drill"));
    std::fs::create_dir(&media).expect("a directory");
    let here = |text: &str| text.replace("/media/usb", &media).replace("/tmp/drill", &drill);
    shell.paste(&here(block(&operating, "gatepass backup /media/usb/gatepass-1.backup")));
    let drilled = here(block(&operating, "mkdir -p /tmp/drill"));
    let commands: Vec<&str> = drilled.lines().filter(|line| !line.contains(" serve ")).collect();
    assert_eq!(commands.len() + 1, drilled.lines().count(), "one line serves, and does not end");
    shell.paste(&commands.join("\n"));
    assert!(shell.running.take().expect("it runs").terminate());
    shell.paste(&here(block(&operating, "--replace")));
    shell.paste(block(&operating, "key rotate-master ").lines().next().expect("a line"));
    shell.paste("gatepass check");
}
