//! Processes of the real binary that serve one database, each with a data directory of its own and the same master key.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatepass_tests::fixtures::BACKEND_SECRET;
use gatepass_tests::http::{Answer, Reached, TestRequest};
use gatepass_tests::server::{Running, TestInstallation};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::connections::Connections;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_gatepass");

/// The issuer of all of them.
const ISSUER: [&str; 2] = ["--issuer", "http://gate.example"];

/// The users. Sign-ins of one user meet at the rows about that user.
pub(crate) const USERS: [&str; 4] = ["alice", "boss", "fay", "lou"];

/// Processes, running or not.
pub(crate) struct Fleet {
    processes: Vec<Process>,
    logs: TempDir,
}

struct Process {
    installation: TestInstallation,
    running: Mutex<Option<Running>>,
    /// The connections to it while it runs.
    connections: Mutex<Option<Arc<Connections>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    /// Makes an installation with [`USERS`] in an empty database, and starts a process for each of the addresses of that database.
    pub(crate) fn start(urls: impl IntoIterator<Item = String>) -> Self {
        let process = |url| Process {
            installation: TestInstallation::in_database(Path::new(BINARY), url),
            running: Mutex::default(),
            connections: Mutex::default(),
        };
        let processes: Vec<_> = urls.into_iter().map(process).collect();
        let fleet = Self { processes, logs: tempfile::tempdir().unwrap() };
        let first = &fleet.processes[0].installation;
        first.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
        for user in USERS {
            first.json(&["user", "add", user]);
        }
        let backend = ["client", "add", "backend", "--scope", "ticket:issue profile", "--secret-stdin"];
        first.json_with(&backend, BACKEND_SECRET);
        for process in &fleet.processes[1..] {
            let key = |installation: &TestInstallation| installation.path().join("master.key");
            fs::copy(key(first), key(&process.installation)).unwrap();
        }
        (0..fleet.size()).for_each(|number| fleet.start_process(number));
        fleet
    }

    pub(crate) fn size(&self) -> usize {
        self.processes.len()
    }

    /// Starts a process that does not run.
    pub(crate) fn start_process(&self, number: usize) {
        let process = &self.processes[number];
        let log = self.logs.path().join(number.to_string());
        let log = File::options().append(true).create(true).open(log).unwrap();
        let running = process.installation.serve_to(&ISSUER, Stdio::from(log));
        *lock(&process.connections) = Some(Arc::new(Connections::to(running.address)));
        *lock(&process.running) = Some(running);
    }

    /// Kills a process (`kill -9`). Requests to it go on until then.
    pub(crate) fn kill(&self, number: usize) {
        let process = &self.processes[number];
        let running = lock(&process.running).take();
        running.into_iter().for_each(Running::kill);
        *lock(&process.connections) = None;
    }

    /// Stops a process as an operator does. Returns true if it ended well.
    pub(crate) fn stop(&self, number: usize) -> bool {
        let process = &self.processes[number];
        *lock(&process.connections) = None;
        let running = lock(&process.running).take();
        running.is_some_and(Running::terminate)
    }

    /// Sends a request to a process, or to the next that runs if it does not.
    pub(crate) fn ask(&self, number: usize, request: &TestRequest) -> Reached {
        let others = (0..self.size()).map(|further| &self.processes[(number + further) % self.size()]);
        let connections = others.filter_map(|process| lock(&process.connections).clone()).next();
        connections.map_or(Reached::Unsent, |connections| connections.ask(request))
    }

    /// Sends a request that has to be answered.
    #[track_caller]
    pub(crate) fn answer(&self, number: usize, request: &TestRequest) -> Answer {
        match self.ask(number, request) {
            Reached::Answered(answer) => answer,
            Reached::Lost | Reached::Unsent => panic!("{request:?} was not answered"),
        }
    }

    /// Sends a request until it is answered otherwise than with 503.
    pub(crate) fn answer_when_ready(&self, number: usize, request: &TestRequest) -> Answer {
        loop {
            let answer = self.answer(number, request);
            if answer.status != 503 {
                return answer;
            }
        }
    }

    /// Issues tickets for the users in turn, at the processes in turn.
    pub(crate) fn issue(&self, count: u64) -> Vec<String> {
        let form = TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=ticket:issue");
        let service = self.answer_when_ready(0, &form.basic("backend", BACKEND_SECRET)).text("access_token");
        let issue = |(process, user): (usize, &&str)| {
            let body = json!({"user_id": user, "ttl": 3600});
            let request = TestRequest::json("/auth/generate-ticket", &body).bearer(&service);
            let answer = self.answer_when_ready(process % self.size(), &request);
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.text("ticket")
        };
        let count = usize::try_from(count).unwrap();
        (0..).zip(USERS.iter().cycle()).take(count).map(issue).collect()
    }

    /// Runs a command of a process's installation with `--json`, which must succeed.
    pub(crate) fn json(&self, number: usize, arguments: &[&str]) -> Value {
        self.processes[number].installation.json(arguments)
    }

    /// Checks the database as an operator does.
    pub(crate) fn check(&self) {
        let output = self.processes[0].installation.run(&["--json", "check"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let verified = self.json(0, &["audit", "verify"]);
        assert_eq!(verified["valid"], json!(true), "{verified}");
    }

    /// Returns the errors that a process has logged in all its lives, of which the message begins so.
    pub(crate) fn errors(&self, number: usize, message: &str) -> Vec<String> {
        let begins = format!(r#""level":"ERROR","message":"{message}"#);
        let log = self.log(number);
        log.lines().filter(|line| line.contains(&begins)).map(str::to_owned).collect()
    }

    fn log(&self, number: usize) -> String {
        fs::read_to_string(self.logs.path().join(number.to_string())).unwrap_or_default()
    }

    /// Returns how many transactions whose answer was lost the running processes have found to be written, not to be written, and could
    /// not find out.
    pub(crate) fn lost_answers(&self) -> [u64; 3] {
        let texts: Vec<String> = (0..self.size())
            .map(|number| {
                let answer = self.answer(number, &TestRequest::new("GET", "/metrics"));
                String::from_utf8(answer.body).unwrap()
            })
            .collect();
        ["written", "not-written", "unknown"].map(|found| {
            let sample = format!("gatepass_lost_answers_total{{found=\"{found}\"}} ");
            let counts =
                texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix(&sample));
            counts.map(|count| count.strip_suffix(".0").unwrap_or(count).parse::<u64>().unwrap()).sum()
        })
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for number in 0..self.size() {
                let log = self.log(number);
                let last: Vec<&str> = log.lines().rev().take(20).collect();
                println!("the log of process {number}, the last line first:\n{}", last.join("\n"));
            }
        }
    }
}
