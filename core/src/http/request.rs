//! A whole HTTP request, as the front hands it over.

use alloc::{string::String, vec::Vec};
use core::{fmt, net::IpAddr};

/// One complete request. The front has already settled where it begins and ends; what it means is decided here.
#[derive(Clone)]
pub struct Request {
    /// The method, as sent (case-sensitive, RFC 9110 §9.1).
    pub method: String,
    /// The target in origin form: path and optional query, as sent. Or `*` with `OPTIONS`, for the server itself.
    pub target: String,
    /// Field names in lower case with their values, in the order they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, already decoded from its transfer coding; at most [`MAX_BODY`] bytes.
    pub body: Vec<u8>,
    /// The address the request counts for: the peer, or what a trusted proxy said.
    pub peer: IpAddr,
}

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The header with the id of a request, both ways.
pub const REQUEST_ID: &str = "x-request-id";

/// A header that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderError {
    /// Its name, in lower case.
    pub name: &'static str,
    /// The reason.
    pub fault: HeaderFault,
}

/// The reason why a header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// It may be sent once, and was sent more often.
    Repeated,
    /// It holds something other than visible ASCII, space and tab.
    NotText,
    /// It is longer than this, in bytes.
    TooLong {
        /// The most bytes.
        most: usize,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header {} ", self.name)?;
        match self.fault {
            HeaderFault::Repeated => f.write_str("is repeated"),
            HeaderFault::NotText => f.write_str("has bytes other than visible ASCII, space and tab"),
            HeaderFault::TooLong { most } => write!(f, "has more than {most} bytes"),
        }
    }
}

impl core::error::Error for HeaderError {}

impl Request {
    /// The path without its query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The one value of header `name` (in lower case), or none.
    ///
    /// # Errors
    /// [`HeaderError`] where it is repeated or holds anything but visible ASCII, space and tab.
    pub fn header(&self, name: &'static str) -> Result<Option<&str>, HeaderError> {
        let error = |fault| HeaderError { name, fault };
        let mut found = None;
        for (_, value) in self.headers.iter().filter(|(n, _)| n == name) {
            if found.is_some() {
                return Err(error(HeaderFault::Repeated));
            }
            let text = core::str::from_utf8(value).map_err(|_| error(HeaderFault::NotText))?;
            if !text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
                return Err(error(HeaderFault::NotText));
            }
            found = Some(text);
        }
        Ok(found)
    }
}

impl fmt::Debug for Request {
    /// Method, path and sizes; headers, query and body may hold credentials and stay out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("peer", &self.peer)
            .finish()
    }
}
