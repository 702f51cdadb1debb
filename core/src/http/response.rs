//! A whole HTTP response, ready to be framed.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

/// One complete response. The front adds `Content-Length`, `Date` and `Connection`, and nothing else.
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub struct Response {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Vec<u8>,
}

impl Response {
    /// An answer of `status` with a body of `content_type`. Nobody may guess another type for it (`nosniff`).
    pub fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        let headers = Vec::with_capacity(5);
        let response = Self { status, headers, body };
        response.with("content-type", content_type).with("x-content-type-options", "nosniff")
    }

    pub(crate) fn json(status: u16, body: &impl serde::Serialize) -> Self {
        // Every shape serialized here is made of strings, numbers and lists: it cannot fail, and if it
        // did, an empty body is refused by any JSON reader.
        Self::new(status, "application/json", serde_json::to_vec(body).unwrap_or_default())
    }

    /// Returns an answer of `status` without a body.
    pub(crate) const fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Returns this answer with one more header. The name is in lower case.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// For answers that speak of one person or token (RFC 6749 §5.1).
    pub(crate) fn uncached(self) -> Self {
        self.with("cache-control", "no-store").with("pragma", "no-cache")
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Header names, in lower case, and values; `content-type` among them.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// The body, whole. For `HEAD` the front sends its length and not the bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, given away.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Returns the value of header `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl fmt::Debug for Response {
    /// Status and size; the body may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.headers().map(|(name, _)| name.into()).collect();
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}
