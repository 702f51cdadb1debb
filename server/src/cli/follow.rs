//! The wait of a command that prints what comes, until it is stopped or nobody reads any more.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// The time between two looks at the store.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits between two looks. SIGINT and SIGTERM end the wait, and so does a reader of stdout that is gone.
pub(super) struct Follow {
    /// Has a byte for each signal.
    signals: UnixStream,
}

/// The end of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// It is time to look again.
    LookAgain,
    /// Nothing more is wanted.
    Over,
}

impl Follow {
    /// Begins to catch signals.
    ///
    /// # Errors
    /// Errors of the system.
    pub(super) fn new() -> io::Result<Self> {
        let (signals, sender) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        for signal in [SIGINT, SIGTERM] {
            pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Self { signals })
    }

    /// Waits until it is time to look again, or nothing more is wanted.
    ///
    /// # Errors
    /// Errors of the system.
    pub(super) fn wait(&mut self) -> io::Result<Waited> {
        let stdout = io::stdout();
        // Without a flag, only its end is reported.
        let mut watched =
            [PollFd::new(&stdout, PollFlags::empty()), PollFd::new(&self.signals, PollFlags::IN)];
        let pause = Timespec::try_from(PAUSE).map_err(io::Error::other)?;
        let reported = match poll(&mut watched, Some(&pause)) {
            Ok(reported) => reported,
            Err(Errno::INTR) => return self.look_for_signal(),
            Err(error) => return Err(error.into()),
        };
        let gone = watched.first().is_some_and(|stdout| !stdout.revents().is_empty());
        if gone {
            return Ok(Waited::Over);
        }
        if reported > 0 { self.look_for_signal() } else { Ok(Waited::LookAgain) }
    }

    /// Looks for a signal that has come.
    fn look_for_signal(&mut self) -> io::Result<Waited> {
        match self.signals.read(&mut [0; 1]) {
            Ok(_) => Ok(Waited::Over),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Waited::LookAgain),
            Err(error) => Err(error),
        }
    }
}
