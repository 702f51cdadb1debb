//! A relay between stores and a server: it knows the messages of the protocol, and lets a connection fail at one of them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// The end of a message COMMIT, or of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The message goes through, and the answer comes back.
    None,
    /// The connection is cut before the server gets the message.
    CutBefore,
    /// The server gets the message, and does what it says. The connection is cut before any answer.
    CutAfter,
    /// The server gets the message, and the connection is cut at once.
    CutAtOnce,
    /// Nothing goes through any more, either way, and neither side hears of that.
    Silence,
    /// The server gets the message. Every connection is cut before any answer, and none is accepted until [`Relay::accept`].
    Close,
    /// The server gets the message. The answer says that the server fails altogether, as one does whose disk fails.
    Panic,
}

impl Fault {
    /// Returns the fault of a commit where many are lost, by its number.
    pub(crate) fn of(number: u64) -> Self {
        match number % 10 {
            3 => Self::CutAfter,
            // The resolution of the lost answer is lost, too.
            6 | 7 => Self::CutAtOnce,
            9 => Self::CutBefore,
            _ => Self::None,
        }
    }
}

/// A fault for each COMMIT of a transaction that may write, by its number.
type Plan = Box<dyn FnMut(u64) -> Fault + Send>;

/// A relay that accepts connections.
pub(crate) struct Relay {
    dir: TempDir,
    shared: Arc<Shared>,
}

struct Shared {
    server: PathBuf,
    control: Mutex<Control>,
}

struct Control {
    plan: Plan,
    /// The commits so far.
    commits: u64,
    /// The start of a statement at which a connection falls silent, once.
    silence_at: Option<&'static str>,
    delay: Duration,
    /// The streams of the open connections, each with its number.
    open: BTreeMap<u64, [UnixStream; 2]>,
    /// The connections so far.
    connections: u64,
    closed: bool,
    ended: bool,
}

/// The name of the socket in a directory of sockets.
const SOCKET: &str = ".s.PGSQL.5432";

impl Relay {
    /// Starts a relay to the server whose socket is in `server`.
    pub(crate) fn to(server: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(SOCKET)).unwrap();
        let control = Control {
            plan: Box::new(|_| Fault::None),
            commits: 0,
            silence_at: None,
            delay: Duration::ZERO,
            open: BTreeMap::new(),
            connections: 0,
            closed: false,
            ended: false,
        };
        let shared = Arc::new(Shared { server: server.join(SOCKET), control: Mutex::new(control) });
        let used = Arc::clone(&shared);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if used.lock().ended {
                    return;
                }
                used.serve(client);
            }
        });
        Self { dir, shared }
    }

    /// Returns the directory of its socket.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Lets the next commits fail so, in this order, and no other one.
    pub(crate) fn next_commits(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut faults = faults.into_iter().collect::<Vec<_>>().into_iter();
        self.plan(move |_| faults.next().unwrap_or(Fault::None));
    }

    /// Asks `plan` about every commit from now on, by its number.
    pub(crate) fn plan(&self, plan: impl FnMut(u64) -> Fault + Send + 'static) {
        self.shared.lock().plan = Box::new(plan);
    }

    /// Lets the connection fall silent that sends the next statement that begins so.
    pub(crate) fn silence_at(&self, statement: &'static str) {
        self.shared.lock().silence_at = Some(statement);
    }

    /// Lets every message of a store wait for so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// Cuts every open connection.
    pub(crate) fn cut(&self) {
        self.shared.lock().cut();
    }

    /// Returns true after [`Fault::Close`].
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Accepts connections again after [`Fault::Close`].
    pub(crate) fn accept(&self) {
        self.shared.lock().closed = false;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        drop(UnixStream::connect(self.dir.path().join(SOCKET)));
        self.cut();
    }
}

impl Control {
    /// Adds a connection, unless none is accepted, and returns its number.
    fn add(&mut self, streams: [&UnixStream; 2]) -> Option<u64> {
        if self.closed {
            return None;
        }
        self.connections += 1;
        self.open.insert(self.connections, streams.map(|stream| stream.try_clone().unwrap()));
        Some(self.connections)
    }

    fn cut(&mut self) {
        let open = std::mem::take(&mut self.open);
        open.values().flatten().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

/// The state of one connection.
#[derive(Default)]
struct Line {
    /// The store gets no answer any more.
    is_mute: AtomicBool,
    /// Neither side hears of the other's end.
    is_dead: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(self: &Arc<Self>, client: UnixStream) {
        // A client whose server is gone sees its connection end.
        let Ok(server) = UnixStream::connect(&self.server) else { return };
        let Some(number) = self.lock().add([&client, &server]) else { return };
        let line = Arc::new(Line::default());
        let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let used = Arc::clone(&line);
        let answers = thread::spawn(move || answers(from, to, &used));
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let _ = shared.requests(&client, &server, &line);
            if line.is_dead.load(SeqCst) {
                while message(&client, true).is_ok() {}
            } else {
                // The server ends the connection when it has done all that it was told.
                let _ = server.shutdown(Shutdown::Write);
            }
            let _ = answers.join();
            shared.lock().open.remove(&number);
        });
    }

    /// Forwards what a store says until one of both ends, or a fault ends the connection.
    fn requests(&self, mut client: &UnixStream, mut server: &UnixStream, line: &Line) -> std::io::Result<()> {
        let (mut begun, mut may_write) = (false, false);
        loop {
            let message = message(client, begun)?;
            begun = true;
            let delay = self.lock().delay;
            thread::sleep(delay);
            let statement = statement(&message).unwrap_or_default();
            if statement.starts_with("BEGIN") {
                may_write = !statement.contains("READ ONLY");
            }
            match if statement == "COMMIT" && may_write {
                self.next_fault()
            } else {
                self.fault_at(statement)
            } {
                Fault::None => server.write_all(&message)?,
                Fault::CutBefore => return Ok(()),
                Fault::CutAfter => {
                    line.is_mute.store(true, SeqCst);
                    return server.write_all(&message);
                }
                Fault::CutAtOnce => {
                    server.write_all(&message)?;
                    return client.shutdown(Shutdown::Both);
                }
                Fault::Close => {
                    line.is_mute.store(true, SeqCst);
                    server.write_all(&message)?;
                    let mut control = self.lock();
                    control.closed = true;
                    control.cut();
                    return Ok(());
                }
                Fault::Silence => {
                    line.is_mute.store(true, SeqCst);
                    line.is_dead.store(true, SeqCst);
                    return Ok(());
                }
                Fault::Panic => {
                    line.is_mute.store(true, SeqCst);
                    server.write_all(&message)?;
                    return client.write_all(&panic_message());
                }
            }
        }
    }

    fn fault_at(&self, statement: &str) -> Fault {
        let silence_at = &mut self.lock().silence_at;
        let found = silence_at.take_if(|start| statement.starts_with(*start));
        if found.is_some() { Fault::Silence } else { Fault::None }
    }

    fn next_fault(&self) -> Fault {
        let mut control = self.lock();
        control.commits += 1;
        let number = control.commits;
        (control.plan)(number)
    }
}

/// Forwards what the server says until one of both ends.
fn answers(mut server: UnixStream, mut client: UnixStream, line: &Line) {
    let mut buffer = [0; 1 << 14];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        if !line.is_mute.load(SeqCst) && client.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if !line.is_dead.load(SeqCst) {
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// Reads one message. The first one of a connection has no type.
fn message(mut from: &UnixStream, typed: bool) -> std::io::Result<Vec<u8>> {
    let head = if typed { 5 } else { 4 };
    let mut message = vec![0; head];
    from.read_exact(&mut message)?;
    let length = u32::from_be_bytes(message[head - 4..].try_into().unwrap());
    message.resize(head + usize::try_from(length).unwrap() - 4, 0);
    from.read_exact(&mut message[head..])?;
    Ok(message)
}

/// Returns the text of a message that carries a statement without parameters.
fn statement(message: &[u8]) -> Option<&str> {
    let text = message.strip_prefix(b"Q")?.get(4..)?.strip_suffix(b"\0")?;
    std::str::from_utf8(text).ok()
}

/// Returns the message of a server that ends because it cannot write its log.
fn panic_message() -> Vec<u8> {
    let fields = b"SPANIC\0VPANIC\0C58030\0Mcould not fsync file\0\0";
    let length = u32::try_from(fields.len() + 4).unwrap();
    [b"E", length.to_be_bytes().as_slice(), fields].concat()
}
