//! A small HTTP/1.1 client that sends exactly the bytes of the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::api_document::ApiDocument;
use crate::fixtures::basic;

/// The longest wait for bytes. No passing test comes near it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A parsed answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header lines, without line ends.
    pub head: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the value of the header `name`, or `None`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Returns the body as JSON, or `null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns member `name` of the JSON body as text.
    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }
}

/// The fate of a request to a server that may end at any moment.
#[derive(Debug)]
pub enum Reached {
    /// An answer.
    Answered(Answer),
    /// It may have arrived, but there was no whole answer.
    Lost,
    /// No server accepted it.
    Unsent,
}

/// Reads one answer from `stream`. Returns `None` if the peer closed without one.
pub fn read_answer(stream: &mut impl Read, to_head: bool) -> Option<Answer> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        // The system may interrupt a read that has a time-out.
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).expect("an answer's head is text");
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty()).map(String::from);
    let status =
        lines.next().expect("a status line").split(' ').nth(1).expect("a status").parse().expect("a number");
    let mut answer = Answer { status, head: lines.collect(), body: Vec::new() };
    let length = answer.header("content-length").map_or(0, |n| n.parse().expect("a length"));
    answer.body.resize(if to_head { 0 } else { length }, 0);
    stream.read_exact(&mut answer.body).ok()?;
    Some(answer)
}

/// Opens a connection with time-outs.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a read time-out");
    stream.set_write_timeout(Some(TIMEOUT)).expect("a write time-out");
    stream
}

/// A request to a server.
#[derive(Clone, Debug)]
pub struct TestRequest {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl TestRequest {
    /// Makes a request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), headers: vec![], body: vec![] }
    }

    /// Makes a request with a JSON body.
    pub fn json(path: &str, body: &Value) -> Self {
        Self::new("POST", path).header("Content-Type", "application/json").body(body.to_string())
    }

    /// Makes a request with an encoded form.
    pub fn form(path: &str, body: &str) -> Self {
        Self::new("POST", path).header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds Basic credentials, sent raw.
    #[must_use]
    pub fn basic(self, id: &str, secret: &str) -> Self {
        self.header("Authorization", &basic(id, secret))
    }

    /// Adds a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the request's bytes.
    pub fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend(&self.body);
        bytes
    }

    /// Sends it on a connection of its own. The answer has to be one that the document of the API has.
    #[track_caller]
    pub fn to(&self, address: SocketAddr) -> Answer {
        let mut stream = connect(address);
        stream.write_all(&self.bytes(address)).expect("the server reads");
        let answer = read_answer(&mut stream, self.method == "HEAD").expect("an answer");
        ApiDocument::hold((&self.method, &self.path), &answer);
        answer
    }

    /// Sends it to a server that may end at any moment.
    pub fn try_to(&self, address: SocketAddr) -> Reached {
        let Ok(mut stream) = TcpStream::connect(address) else { return Reached::Unsent };
        let patient = stream.set_read_timeout(Some(TIMEOUT)).is_ok();
        let sent = patient && stream.write_all(&self.bytes(address)).is_ok();
        let answer = sent.then(|| read_answer(&mut stream, self.method == "HEAD")).flatten();
        answer.map_or(Reached::Lost, Reached::Answered)
    }
}
