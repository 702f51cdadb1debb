//! The destination of an answer, which comes at once or later.

use std::sync::mpsc::Sender;

use gatepass_core::http::response::Response;

use super::guarded::PendingRequest;

/// Work for a worker, which ends in an answer or in waiting again.
pub(super) type Resumption = Box<dyn FnOnce(Reply) -> Answered + Send>;

/// A request that must be answered. If this is dropped, by a panic for example, the answer is a 500.
#[derive(Debug)]
#[must_use = "a reply that is dropped is a 500"]
pub struct Reply(Destination);

/// A reply that waits without a thread.
#[derive(Debug)]
#[must_use = "a reply that is dropped is a 500"]
pub struct DeferredReply(Destination);

/// Proof that a request was answered, or will be.
#[derive(Debug)]
pub struct Answered(AnswerState);

#[derive(Debug)]
pub(super) enum Destination {
    Guarded(PendingRequest),
    /// To the worker that has the request.
    Stock(Sender<Resumption>),
}

#[derive(Debug)]
pub(super) enum AnswerState {
    Response(Destination, Response),
    Deferred,
}

impl Reply {
    pub(super) const fn by(way: Destination) -> Self {
        Self(way)
    }

    /// Answers with `response`.
    pub fn send(self, response: Response) -> Answered {
        Answered(AnswerState::Response(self.0, response))
    }

    /// Frees the worker; the other half of the result continues.
    pub fn defer(self) -> (DeferredReply, Answered) {
        let way = match self.0 {
            Destination::Guarded(pending) => Destination::Guarded(pending.park()),
            stock @ Destination::Stock(_) => stock,
        };
        (DeferredReply(way), Answered(AnswerState::Deferred))
    }
}

impl DeferredReply {
    /// Queues `work` for a worker. Does not block.
    pub fn resume(self, work: impl FnOnce(Reply) -> Answered + Send + 'static) {
        match self.0 {
            Destination::Guarded(pending) => pending.resume(Box::new(work)),
            Destination::Stock(worker) => {
                // It waits for this, and for nothing else.
                let _ = worker.send(Box::new(work));
            }
        }
    }
}

impl Answered {
    pub(super) fn what(self) -> AnswerState {
        self.0
    }
}
