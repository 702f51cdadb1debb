//! `gatepass healthcheck`: asks the server of a data directory if it is ready, for service managers and clusters.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::context::Context;
use crate::config::value::{Listen, Value as _};
use crate::error::ProgramError;
use crate::output::Record;

/// The longest time to wait for the server.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most of an answer that is read, in bytes.
const LIMIT: u64 = 64 * 1024;

pub(super) fn run(context: &Context) -> Result<(), ProgramError> {
    let installation = context.installation()?;
    if installation.server.is_none() && installation.contents().is_ok_and(|contents| contents.is_empty()) {
        return Err(installation.nothing().into());
    }
    let address = installation
        .address()?
        .ok_or_else(|| ProgramError::failed(format!("no server runs on {}", context.data().display())))?;
    let (status, body) = ask(&address)
        .map_err(|error| ProgramError::failed(format!("the server at {address} does not answer: {error}")))?;
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let ready = status == 200 && said.get("status").and_then(Value::as_str) == Some("ready");
    let record = Record::new()
        .with("ready", ready)
        .with("address", address)
        .with("status", status)
        .with("warnings", said.get("warnings").cloned().unwrap_or_default());
    context.out.one(&record)?;
    if ready { Ok(()) } else { Err(ProgramError::Answered) }
}

/// Asks `/readyz`, and returns the status and the body.
fn ask(address: &str) -> io::Result<(u16, Vec<u8>)> {
    let listen = Listen::from_text(address).map_err(io::Error::other)?;
    let request = |host: &str| format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let (mut answer, end) = (Vec::new(), Instant::now() + PATIENCE);
    match listen {
        Listen::Tcp(address) => {
            let ip: IpAddr = match (address.ip().is_unspecified(), address.is_ipv4()) {
                (false, _) => address.ip(),
                (true, true) => Ipv4Addr::LOCALHOST.into(),
                (true, false) => Ipv6Addr::LOCALHOST.into(),
            };
            let address = SocketAddr::new(ip, address.port());
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(request(&address.to_string()).as_bytes())?;
            read_until(stream, end, &mut answer)?;
        }
        Listen::Unix(path) => {
            let mut stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(request("localhost").as_bytes())?;
            read_until(stream, end, &mut answer)?;
        }
    }
    parse(&answer).ok_or_else(|| io::Error::other("it is no server of ours"))
}

/// Reads until the server closes, or until `end`, also if it sends a few bytes at a time.
fn read_until(stream: impl Read, end: Instant, answer: &mut Vec<u8>) -> io::Result<()> {
    let (mut stream, mut chunk) = (stream.take(LIMIT), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk)?;
        answer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if count == 0 {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Returns the status and the body of an answer.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(answer).ok()? else { return None };
    Some((response.code?, answer.get(length..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(good), Some((200, b"{}".to_vec())));
        for bad in [&good[..20], b"", b"SSH-2.0-x\r\n"] {
            assert_eq!(parse(bad), None);
        }
    }
}
