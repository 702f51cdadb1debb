//! A data directory with the binary on it, and a server running there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A data directory.
pub(crate) struct TestInstallation(TempDir);

impl TestInstallation {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Makes one with a key that is cheap to generate, so that a server starts at once.
    pub(crate) fn with_key() -> Self {
        let installation = Self::new();
        installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
        installation
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatepass"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GATEPASS_")) {
            command.env_remove(name);
        }
        command.env("GATEPASS_DATA", self.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A command that refuses its arguments does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        read(arguments, &self.run(&[&["--json"], arguments].concat()), 0)
    }

    /// Runs a command with `--json` that answers no.
    pub(crate) fn no(&self, arguments: &[&str]) -> Value {
        read(arguments, &self.run(&[&["--json"], arguments].concat()), 1)
    }

    pub(crate) fn refused(&self, arguments: &[&str]) -> (i32, String) {
        told(&self.run(arguments))
    }

    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_to(arguments, Stdio::null())
    }

    /// Does the same; the server logs to `log`.
    pub(crate) fn serve_to(&self, arguments: &[&str], log: Stdio) -> Server {
        let listen: &[&str] =
            if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let all = [&["--json", "serve"], listen, arguments].concat();
        let mut command = self.command(&all);
        command.stderr(log);
        Server::start(command)
    }
}

pub(crate) fn read(arguments: &[&str], output: &Output, code: i32) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the exit code and the one line of a command that failed.
pub(crate) fn told(output: &Output) -> (i32, String) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing on stdout");
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    (output.status.code().unwrap(), said)
}

fn receive(mut stream: TcpStream) -> (u16, Value) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

pub(crate) struct Server {
    child: Child,
    pub(crate) ready: Value,
}

impl Server {
    /// Starts a server by a command with `--json`, and waits until it is ready.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        receive(self.send(method, path, headers, body))
    }

    /// Asks `/healthz` with these lines for the version and the headers.
    pub(crate) fn health(&self, lines: &str) -> u16 {
        let mut stream = TcpStream::connect(self.ready["listening"].as_str().unwrap()).unwrap();
        stream.write_all(format!("GET /healthz {lines}Connection: close\r\n\r\n").as_bytes()).unwrap();
        receive(stream).0
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let address = self.ready["listening"].as_str().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    pub(crate) fn sign_in(&self, ticket: &Value) -> (u16, Value) {
        receive(self.send_ticket(ticket))
    }

    /// Redeems several tickets. All requests wait before the server reads the first.
    pub(crate) fn sign_in_together(&self, tickets: &[Value]) -> Vec<(u16, Value)> {
        self.signal("-STOP");
        let sent: Vec<_> = tickets.iter().map(|ticket| self.send_ticket(ticket)).collect();
        self.signal("-CONT");
        sent.into_iter().map(receive).collect()
    }

    /// Sends one request several times. All of them wait before the server reads the first.
    pub(crate) fn ask_together(&self, times: usize, request: [&str; 4]) -> Vec<(u16, Value)> {
        let [method, path, headers, body] = request;
        self.signal("-STOP");
        let sent: Vec<_> = (0..times).map(|_| self.send(method, path, headers, body)).collect();
        self.signal("-CONT");
        sent.into_iter().map(receive).collect()
    }

    /// Signs in by password, with addresses, names and passwords. All requests wait before the server reads the first.
    pub(crate) fn log_in_together(&self, people: &[(String, &str, &str)]) -> Vec<u16> {
        self.signal("-STOP");
        let log_in = |(address, identity, password): &(String, &str, &str)| {
            let body = json!({ "identity": identity, "password": password }).to_string();
            let headers = format!("Content-Type: application/json\r\nX-Forwarded-For: {address}\r\n");
            self.send("POST", "/auth/login", &headers, &body)
        };
        let sent: Vec<_> = people.iter().map(log_in).collect();
        self.signal("-CONT");
        sent.into_iter().map(|stream| receive(stream).0).collect()
    }

    fn send_ticket(&self, ticket: &Value) -> TcpStream {
        let body = json!({ "ticket": ticket }).to_string();
        self.send("POST", "/auth/ticket/signin", "Content-Type: application/json\r\n", &body)
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    pub(crate) fn end(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
