//! Where an answer goes: it may be there at once, or later, once what it waits for has happened.

use std::sync::mpsc::Sender;

use gatepass_core::http::response::Response;

use super::guarded::Guest;

/// Something to be done by a worker, which ends in an answer or in waiting again.
pub(super) type Work = Box<dyn FnOnce(Reply) -> Answered + Send>;

/// The duty to answer one request. Where it is dropped, by a panic for one, the answer is a 500.
#[derive(Debug)]
#[must_use = "a reply that is dropped is a 500"]
pub struct Reply(Way);

/// A reply that waits, on no thread.
#[derive(Debug)]
#[must_use = "a reply that is dropped is a 500"]
pub struct Later(Way);

/// Proof that a request was answered, or will be.
#[derive(Debug)]
pub struct Answered(Now);

#[derive(Debug)]
pub(super) enum Way {
    Guarded(Guest),
    /// To the worker that has the request.
    Stock(Sender<Work>),
}

#[derive(Debug)]
pub(super) enum Now {
    Response(Way, Response),
    Waits,
}

impl Reply {
    pub(super) const fn by(way: Way) -> Self {
        Self(way)
    }

    /// Answers with `response`.
    pub fn now(self, response: Response) -> Answered {
        Answered(Now::Response(self.0, response))
    }

    /// Lets the worker go; it is the other half's turn to go on.
    pub fn later(self) -> (Later, Answered) {
        (Later(self.0), Answered(Now::Waits))
    }
}

impl Later {
    /// Has a worker do `work`, behind whatever else waits for one. Does not block.
    pub fn go_on(self, work: impl FnOnce(Reply) -> Answered + Send + 'static) {
        match self.0 {
            Way::Guarded(guest) => guest.go_on(Box::new(work)),
            Way::Stock(worker) => {
                // It waits for this, and for nothing else.
                let _ = worker.send(Box::new(work));
            }
        }
    }
}

impl Answered {
    pub(super) fn what(self) -> Now {
        self.0
    }
}
