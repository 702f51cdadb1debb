//! The parts of a request that its answer needs: the language of its messages, and the id that its caller gave to it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gatepass_core::http::language::Language;
use gatepass_core::http::request::{REQUEST_ID, Request};
use gatepass_core::http::response::Response;
use gatepass_core::records::request_id::RequestId;

/// The caller of a request, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The language of messages.
    pub language: Language,
    /// The id that it gave to the request.
    pub id: Option<RequestId>,
}

impl Caller {
    /// Returns the caller of a whole request.
    pub(super) fn of(request: &Request) -> Self {
        let one = |name| request.header(name).ok().flatten();
        Self::of_headers(one("accept-language"), one(REQUEST_ID))
    }

    /// Returns the caller that sent these headers, each once.
    pub(super) fn of_headers(language: Option<&str>, id: Option<&str>) -> Self {
        Self { language: Language::of(language), id: id.and_then(|id| RequestId::parse(id).ok()) }
    }

    /// Gives `response` the id of its request, unless it has one: the caller's, or a new one.
    pub(super) fn name(&self, response: Response) -> Response {
        if response.header(REQUEST_ID).is_some() {
            return response;
        }
        match self.id.as_ref().map(|id| id.as_str().to_owned()).or_else(drawn) {
            Some(id) => response.with(REQUEST_ID, id),
            None => response,
        }
    }
}

/// Returns a new id; none if the system has no randomness.
fn drawn() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("req_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_one_id() {
        let id = |caller: &Caller, response: Response| {
            let response = caller.name(response);
            assert_eq!(response.headers().filter(|(name, _)| *name == REQUEST_ID).count(), 1);
            RequestId::parse(response.header(REQUEST_ID).unwrap()).unwrap()
        };
        let plain = || Response::new(400, "text/plain", Vec::new());
        let known = Caller::of_headers(None, Some("abc-1"));
        assert_eq!(id(&known, plain()).as_str(), "abc-1");
        assert_eq!(id(&known, plain().with(REQUEST_ID, "req_core")).as_str(), "req_core");
        for unknown in [Caller::default(), Caller::of_headers(Some("zh"), Some("no id"))] {
            let [one, other] = [id(&unknown, plain()), id(&unknown, plain())];
            assert!(one != other && one.as_str().len() == 26, "{one}");
        }
    }
}
