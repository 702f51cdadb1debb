//! A relay between a client and a server that records both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use crate::http::{Answer, read_answer};

/// A connection with one request, byte for byte.
#[derive(Debug)]
pub struct Exchange {
    /// The bytes of the client.
    pub request: Vec<u8>,
    /// The bytes of the server.
    pub response: Vec<u8>,
}

impl Exchange {
    /// Returns the answer, or `None` if the connection carried none.
    pub fn answer(&self) -> Option<Answer> {
        read_answer(&mut self.response.as_slice(), self.request.starts_with(b"HEAD "))
    }
}

/// Runs `work` with the address of a relay to `server`, and returns the exchanges.
pub fn recorded_exchanges(server: SocketAddr, work: impl FnOnce(SocketAddr)) -> Vec<Exchange> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let relay = scope.spawn(|| {
            let mut lines: Vec<JoinHandle<Exchange>> = Vec::new();
            while let Ok((client, _)) = listener.accept() {
                if over.load(Relaxed) {
                    break;
                }
                lines.push(thread::spawn(move || relay(&client, server)));
            }
            lines.into_iter().map(|line| line.join().expect("a relay")).collect()
        });
        let end = End { over: &over, address };
        work(address);
        drop(end);
        relay.join().expect("the relay")
    })
}

/// Ends the relay, also if the work failed.
struct End<'a> {
    over: &'a AtomicBool,
    address: SocketAddr,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn relay(client: &TcpStream, server: SocketAddr) -> Exchange {
    let server = &TcpStream::connect(server).expect("the server accepts");
    thread::scope(|scope| {
        let request = scope.spawn(|| copy(client, server));
        let response = copy(server, client);
        Exchange { request: request.join().expect("a copy"), response }
    })
}

/// Copies until either side ends. Both see the end.
fn copy(mut from: &TcpStream, mut to: &TcpStream) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        all.extend(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    all
}
