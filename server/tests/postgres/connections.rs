//! Connections to a server that stay open from one request to the next.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gatepass_tests::http::{Reached, TestRequest, read_answer};

/// The longest wait for an answer. A server looks for a lost commit for 30 seconds, and no passing test comes near this.
const LONGEST: Duration = Duration::from_secs(120);

/// The connections to one server that no request uses.
pub(crate) struct Connections {
    pub(crate) address: SocketAddr,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
}

impl Connections {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    fn with_idle<T>(&self, work: impl FnOnce(&mut Vec<BufReader<TcpStream>>) -> T) -> T {
        work(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn open(&self) -> Option<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(LONGEST)).ok()?;
        Some(BufReader::new(stream))
    }

    /// Sends a request, to a server that may end at any moment.
    pub(crate) fn ask(&self, request: &TestRequest) -> Reached {
        let idle = self.with_idle(Vec::pop);
        let Some(mut connection) = idle.or_else(|| self.open()) else { return Reached::Unsent };
        if connection.get_mut().write_all(&request.bytes(self.address)).is_err() {
            return Reached::Lost;
        }
        let Some(answer) = read_answer(&mut connection, false) else { return Reached::Lost };
        if answer.header("connection") != Some("close") {
            self.with_idle(|idle| idle.push(connection));
        }
        Reached::Answered(answer)
    }
}
