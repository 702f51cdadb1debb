//! `GET /metrics`: what a monitoring system reads. To whom the settings say, and to whoever has a role.

use alloc::string::String;
use core::convert::Infallible;

use crate::api::admin::{Authorized, authorize};
use crate::api::bearer::Presented;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, ParsedRequest};
use crate::api::reply::Reply;
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::role::Roles;
use crate::settings::MetricsReaders;
use crate::store::query::{Query, Records};

/// The media type of OpenMetrics 1.0.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Headers that a proxy adds. Where one is there, whoever asks is somewhere else.
const FORWARDED: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// A request for the metrics.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Metrics {
    /// The token, where one is needed.
    presented: Option<Presented>,
    answer: Answer,
}

/// The text, once it was asked for.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
enum Answer {
    NotAsked,
    Text(String),
    Failed,
}

impl Metrics {
    fn authorize(&self, basis: &Basis<'_>, records: &Records) -> Result<(), Reply> {
        match (&self.presented, records) {
            (None, Records::Generation) => Ok(()),
            (Some(presented), Records::Bearer(bearer)) => {
                let _: Authorized = authorize(presented, Roles::ALL, basis, bearer)?;
                Ok(())
            }
            _ => Err(basis.ctx.internal()),
        }
    }
}

/// Returns true if no token is needed.
fn is_open(readers: MetricsReaders, request: &Request) -> bool {
    match readers {
        MetricsReaders::Everyone => true,
        MetricsReaders::Off => false,
        MetricsReaders::Loopback => {
            let is_forwarded = request.headers.iter().any(|(name, _)| FORWARDED.contains(&name.as_str()));
            request.peer.to_canonical().is_loopback() && !is_forwarded
        }
    }
}

impl Endpoint for Metrics {
    const DESCRIPTION: Description = Description::new("Shows the metrics (OpenMetrics 1.0)")
        .answers_text("application/openmetrics-text")
        .may_be_anonymous();

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        let is_open = is_open(call.engine.settings().metrics, call.request);
        let presented = if is_open { None } else { Some(Presented::demanded(&call.ctx, call.request)?) };
        Ok(Self { presented, answer: Answer::NotAsked })
    }
}

impl ParsedRequest for Metrics {
    type Pending = Infallible;
    type Hash = Infallible;

    fn query(&self) -> Query {
        match &self.presented {
            None => Query::Generation,
            Some(presented) => Query::Bearer(presented.query().clone()),
        }
    }

    fn task(&self, basis: &Basis<'_>, records: &Records) -> Option<TaskRequest> {
        let is_asked = !matches!(self.answer, Answer::NotAsked);
        (!is_asked && self.authorize(basis, records).is_ok()).then_some(TaskRequest::Metrics)
    }

    fn take_answer(&mut self, answer: TaskAnswer) {
        self.answer = match answer {
            TaskAnswer::Metrics(text) => Answer::Text(text),
            TaskAnswer::Key(_)
            | TaskAnswer::Status(_)
            | TaskAnswer::Settings(_)
            | TaskAnswer::Audit(_)
            | TaskAnswer::AuditVerified(_)
            | TaskAnswer::AuditArchived(_)
            | TaskAnswer::Failed(_) => Answer::Failed,
        };
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided {
        self.authorize(basis, &records)?;
        match &self.answer {
            Answer::Text(text) => {
                let response = Response::new(200, OPENMETRICS, text.clone().into_bytes());
                Ok(response.uncached().into())
            }
            Answer::NotAsked | Answer::Failed => Err(basis.ctx.unavailable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    #[test]
    fn who_needs_no_token() {
        use MetricsReaders::{Everyone, Loopback, Off};
        for (readers, peer, header, open) in [
            (Loopback, "127.0.0.1", None, true),
            (Loopback, "127.1.2.3", None, true),
            (Loopback, "::1", None, true),
            (Loopback, "::ffff:127.0.0.1", None, true),
            (Loopback, "192.0.2.1", None, false),
            (Loopback, "::ffff:192.0.2.1", None, false),
            (Loopback, "127.0.0.1", Some("x-forwarded-for"), false),
            (Loopback, "127.0.0.1", Some("forwarded"), false),
            (Loopback, "127.0.0.1", Some("via"), false),
            (Loopback, "127.0.0.1", Some("x-real-ip"), false),
            (Loopback, "127.0.0.1", Some("x-request-id"), true),
            (Off, "127.0.0.1", None, false),
            (Everyone, "192.0.2.1", None, true),
            (Everyone, "192.0.2.1", Some("x-forwarded-for"), true),
        ] {
            let headers: Vec<_> = header.map(|name| (String::from(name), vec![])).into_iter().collect();
            let request = Request {
                method: "GET".into(),
                target: "/metrics".into(),
                headers,
                body: Vec::new(),
                peer: peer.parse().unwrap(),
            };
            assert_eq!(is_open(readers, &request), open, "{readers:?} {peer} {header:?}");
        }
    }
}
