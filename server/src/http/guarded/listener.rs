//! The listening socket, and the limit of connections per address.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::super::Limits;
use super::LISTENER;
use crate::net::client_address::source;

/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 1024;

/// Descriptors reserved for the service: its store, its keys, its backups.
const RESERVE: usize = 64;

/// The numbers of `EMFILE` and `ENFILE`, the same on every Unix; the standard library has no name for them.
const NO_DESCRIPTORS: [i32; 2] = [24, 23];

/// The peer was gone before it was accepted, or a signal came.
const LOST: [ErrorKind; 3] =
    [ErrorKind::Interrupted, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];

/// The listening socket, and the connections of each address.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Option<TcpListener>,
    limits: Arc<Limits>,
    /// The number of connections of each counted address.
    counts: HashMap<IpAddr, usize>,
}

/// The result of accepting a connection.
#[derive(Debug)]
pub(super) enum Accepted {
    /// A connection, configured and not yet counted.
    Connection(TcpStream, SocketAddr),
    /// This one failed; there may be more.
    Lost,
    /// None is waiting; an event announces the next.
    NoneWaiting,
    /// The process has no descriptor for it.
    NoDescriptor,
    /// The system failed for another reason; the loop tries again later.
    Failed(io::Error),
}

impl From<(TcpStream, SocketAddr)> for Accepted {
    fn from((stream, peer): (TcpStream, SocketAddr)) -> Self {
        Self::Connection(stream, peer)
    }
}

impl Listener {
    pub(super) fn open(
        address: SocketAddr,
        limits: Arc<Limits>,
        registry: &Registry,
    ) -> io::Result<(Self, SocketAddr)> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // On Unix, a restart need not wait for the old connections' TIME_WAIT. Elsewhere it would share the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let local = listener.local_addr()?;
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok((Self { socket: Some(listener), limits, counts: HashMap::new() }, local))
    }

    /// Takes the next connection from the kernel's queue.
    pub(super) fn accept(&self) -> Accepted {
        let Some(listener) = &self.socket else { return Accepted::NoneWaiting };
        match listener.accept() {
            Ok((stream, peer)) => match self.prepare(&stream) {
                Ok(()) => Accepted::Connection(stream, peer),
                Err(_) => Accepted::Lost,
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::NoneWaiting,
            Err(error) if LOST.contains(&error.kind()) => Accepted::Lost,
            Err(error) if error.raw_os_error().is_some_and(|code| NO_DESCRIPTORS.contains(&code)) => {
                Accepted::NoDescriptor
            }
            Err(error) => Accepted::Failed(error),
        }
    }

    /// Sets no delay for small answers. A dead peer is noticed even while nothing is sent, and within the time for
    /// taking an answer while something is.
    fn prepare(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        socket.set_tcp_nodelay(true)?;
        let probes =
            TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
        socket.set_tcp_keepalive(&probes)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_user_timeout(Some(self.limits.answer_time.max(Duration::from_secs(1))))?;
        Ok(())
    }

    /// Returns the address that a connection from `peer` counts for; none if it is exempt.
    pub(super) fn counts_for(&self, peer: IpAddr) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if self.limits.connections_per_address == 0 || self.limits.exempt.covers(peer) {
            return None;
        }
        Some(source(peer))
    }

    /// Returns true if `address` has as many connections as it may.
    pub(super) fn is_full_for(&self, address: IpAddr) -> bool {
        self.counts.get(&address).is_some_and(|count| *count >= self.limits.connections_per_address)
    }

    pub(super) fn enter(&mut self, address: Option<IpAddr>) {
        if let Some(address) = address {
            *self.counts.entry(address).or_default() += 1;
        }
    }

    pub(super) fn leave(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Some(count) = self.counts.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&address);
            }
        }
    }

    /// Stops listening; the kernel refuses the connections that still queue.
    pub(super) fn shut(&mut self) {
        self.socket = None;
    }
}

/// Returns `wanted`, or fewer if the process's limit on open files demands it.
pub(super) fn affordable(wanted: usize) -> usize {
    let Ok(limits) = std::fs::read_to_string("/proc/self/limits") else { return wanted.max(1) };
    let Some(limit) = soft_limit(&limits) else { return wanted.max(1) };
    let room = limit.saturating_sub(RESERVE).max(limit / 2).max(1);
    if room < wanted {
        tracing::warn!(wanted, room, limit, "fewer connections than configured: raise `ulimit -n`");
    }
    wanted.min(room).max(1)
}

/// Returns the soft limit on open files, as `/proc/self/limits` prints it; none if there is no limit.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(per_address: usize) -> (Listener, SocketAddr, mio::Poll) {
        let poll = mio::Poll::new().unwrap();
        let limits = Arc::new(Limits { connections_per_address: per_address, ..Limits::default() });
        let (listener, local) =
            Listener::open("127.0.0.1:0".parse().unwrap(), limits, poll.registry()).unwrap();
        (listener, local, poll)
    }

    #[test]
    fn a_guest_is_sent_small_answers_without_delay_and_probed() {
        let (listener, local, _poll) = listener(1);
        assert!(matches!(listener.accept(), Accepted::NoneWaiting));
        let _client = std::net::TcpStream::connect(local).unwrap();
        let Accepted::Connection(stream, _) = listener.accept() else {
            panic!("a completed connection is accepted")
        };
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(10)));
    }

    #[test]
    fn addresses_are_counted_v6_by_its_network() {
        let (mut listener, _, _poll) = listener(2);
        for (peer, counted) in [
            ("192.0.2.7", Some("192.0.2.7")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::")),
            ("127.9.9.9", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
        ] {
            assert_eq!(
                listener.counts_for(peer.parse().unwrap()),
                counted.map(|c| c.parse().unwrap()),
                "{peer}"
            );
        }
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        for full in [false, false, true] {
            assert_eq!(listener.is_full_for(address), full);
            listener.enter(Some(address));
        }
        for full in [true, true, false] {
            assert_eq!(listener.is_full_for(address), full);
            listener.leave(Some(address));
        }
        assert!(listener.counts.is_empty(), "nobody is remembered who has left");
    }

    #[test]
    fn the_limit_on_files_is_read() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax processes 9 9 processes\nMax open files            1024                 524288               files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit("Max open files unlimited unlimited files"), None);
        assert_eq!(soft_limit(""), None);
        assert_eq!(affordable(0), 1);
        assert_eq!(affordable(2), 2);
    }
}
