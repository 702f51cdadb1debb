//! One connection with its socket, shared between the watching thread and the worker that answers it.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatepass_core::http::request::Request;
use mio::net::TcpStream;

use super::super::connection::{Action, CHUNK, Connection};
use super::super::response::Date;
use super::super::{Handler, refuse};

/// A connection behind its lock. While the service has its request, no thread holds the lock.
#[derive(Debug)]
pub(super) struct SharedConnection(Mutex<ConnectionIo>);

/// The things that a thread needs to drive connections; every thread has its own.
pub(super) struct Driver<'a> {
    pub(super) handler: &'a dyn Handler,
    pub(super) date: &'a mut Date,
    /// [`CHUNK`] bytes to read into.
    pub(super) scratch: &'a mut [u8],
    pub(super) now: Duration,
}

/// The result of driving a connection.
#[derive(Debug)]
pub(super) enum Driven {
    /// It waits for its peer or its deadline.
    Parked,
    /// This request needs an answer; then the connection is driven again.
    HasRequest(Request),
    /// It is over; the socket is closed.
    Closed,
}

#[derive(Debug)]
pub(super) struct ConnectionIo {
    pub(super) connection: Connection,
    socket: Option<TcpStream>,
    /// True if there may be bytes to read. Edges are reported once, so what was not read must be remembered.
    readable: bool,
    /// True if the peer has closed its side, so that reading continues until the end even after a short read.
    hung_up: bool,
    shut: bool,
    /// The latest time at which the watching thread checks it.
    pub(super) check_at: Duration,
}

impl SharedConnection {
    pub(super) const fn new(socket: TcpStream, connection: Connection) -> Self {
        // A new connection often brings its request along, so it is read at once.
        let (readable, hung_up, shut, check_at) = (true, false, false, Duration::ZERO);
        Self(Mutex::new(ConnectionIo { connection, socket: Some(socket), readable, hung_up, shut, check_at }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ConnectionIo> {
        // A panic with the lock held is a bug of ours; the connection's deadline clears it up.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionIo {
    /// Records an event of the readiness queue.
    pub(super) fn ready(&mut self, readable: bool, hung_up: bool) {
        self.readable |= readable;
        self.hung_up |= hung_up;
    }

    /// Closes connection and socket.
    pub(super) fn close(&mut self) {
        self.connection.close();
        self.socket = None;
    }

    /// Writes, reads and parses as far as it goes without blocking.
    pub(super) fn drive(&mut self, driver: &mut Driver<'_>) -> Driven {
        let driven = self.go(driver);
        if self.connection.is_closed() {
            self.socket = None;
            return Driven::Closed;
        }
        driven
    }

    fn go(&mut self, driver: &mut Driver<'_>) -> Driven {
        let Self { connection, socket: Some(socket), readable, hung_up, shut, .. } = self else {
            return Driven::Closed;
        };
        loop {
            match connection.next_action(driver.now) {
                Action::Request(request) => return Driven::HasRequest(request),
                Action::Refuse(problem, caller) => {
                    let response = refuse(driver.handler, problem, &caller);
                    connection.answer(&response, driver.date.now(), driver.now);
                    continue;
                }
                Action::Wait => {}
            }
            if !connection.output().is_empty() {
                match socket.write(connection.output()) {
                    Ok(count) if count > 0 => {
                        connection.sent(count, driver.now);
                        continue;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    // An event announces when there is room again.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Ok(_) | Err(_) => connection.close(),
                }
            }
            if connection.is_shut() && !*shut {
                *shut = true;
                // If it fails, the connection is gone, and reading reports that.
                let _ = socket.shutdown(Shutdown::Write);
            }
            let read_capacity = connection.read_capacity().min(driver.scratch.len());
            let Some(scratch) =
                driver.scratch.get_mut(..read_capacity).filter(|s| !s.is_empty() && *readable)
            else {
                return Driven::Parked;
            };
            match socket.read(scratch) {
                Ok(0) => {
                    *readable = false;
                    connection.end();
                }
                Ok(count) => {
                    connection.receive(scratch.get(..count).unwrap_or_default());
                    // A short read has emptied the socket; later bytes make a new edge.
                    *readable = count == read_capacity || *hung_up;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    *readable = false;
                    return Driven::Parked;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => connection.close(),
            }
        }
    }
}

/// Returns a buffer for one read.
pub(super) fn scratch() -> Box<[u8]> {
    vec![0; CHUNK].into_boxed_slice()
}
