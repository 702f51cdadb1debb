//! HTTP/1.1 on sockets: bytes become a [`Request`], a [`Response`] becomes bytes.
//!
//! The core decides what a request means. This module decides where one begins and ends, which peer may hold a
//! connection, and for how long.
//!
//! - [`connection`] is one connection as a sans-IO state machine, made of the head (`head`), the target's
//!   authority (`authority`), the hosts that may be named (`own_hosts`), the chunked coding (`chunked`) and the printed answer (`response`).
//! - [`guarded`] drives many of them from one readiness loop and a pool of workers. It can face a network.
//! - [`stock`] is the plain `tiny_http` server, for a machine where a validating proxy stands in front.
//!
//! Both drive one [`Handler`] with one set of [`Limits`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass_core::base::time::Time;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::{REQUEST_ID, Request};
use gatepass_core::http::response::Response;

mod absolute;
mod caller;
mod chunked;
pub mod connection;
pub mod guarded;
mod head;
mod limits;
mod measures;
mod own_hosts;
mod reply;
mod response;
pub mod stock;

pub use caller::Caller;
pub use limits::{Exempt, Limits};
pub use measures::FrontMeasures;
pub use own_hosts::OwnHosts;
pub use reply::{Answered, DeferredReply, Reply};

/// The service behind a front.
pub trait Handler: Send + Sync + 'static {
    /// Answers one whole request, now or later. `request.peer` is the socket's own address; the handler decides if a
    /// proxy's header replaces it. It runs on one of a few workers, so it must wait for anything slow with
    /// [`Reply::defer`]. A panic in it is answered with 500.
    fn answer(self: Arc<Self>, request: Request, reply: Reply) -> Answered;

    /// Answers requests that waited together for a worker, each as [`Self::answer`] does, and sends each answer as soon as
    /// it is there. If one panics, the others are answered all the same.
    fn answer_all(self: Arc<Self>, asked: Vec<(Request, Reply)>, answered: &mut dyn FnMut(Answered)) {
        for (request, reply) in asked {
            if let Some(one) = caught(|| Arc::clone(&self).answer(request, reply)) {
                answered(one);
            }
        }
    }

    /// Returns the answer to something that the front itself refuses: bad bytes, too long, too slow. Called on the
    /// thread that watches every connection, too, so it must not block.
    fn refuse(&self, problem: Problem, language: Language) -> Response;
}

/// Returns `response` with the id of its request, or a 500 if it cannot be printed.
fn printed(handler: &dyn Handler, response: Response, caller: &Caller) -> Response {
    if response::printable(&response) {
        return caller.name(response);
    }
    tracing::error!(status = response.status(), "an answer that cannot be printed became a 500");
    refuse(handler, Problem::Internal, caller)
}

/// Returns the service's answer to a refusal, or the core's if that panics.
fn refuse(handler: &dyn Handler, problem: Problem, caller: &Caller) -> Response {
    let refused = caught(|| handler.refuse(problem, caller.language)).filter(response::printable);
    let response = refused.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        problem.response(caller.language, Time::from_unix(now))
    });
    caller.name(response)
}

/// Returns the answer to a request that was given up: it panicked, and the log has the line before this one.
fn given_up(handler: &dyn Handler, caller: &Caller) -> Response {
    let response = refuse(handler, Problem::Internal, caller);
    tracing::error!(request = response.header(REQUEST_ID), "a request was given up and answered with 500");
    response
}

/// Returns what `call` returns, or none if it panics. A service keeps its own invariants across a panic: locks are
/// poisoned, transactions roll back.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .inspect_err(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let message =
                text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
            tracing::error!(panic = message, "a request panicked");
        })
        .ok()
}
