//! The head of a request: where it ends, and its meaning for the bytes that follow.
//!
//! [`Scan`] goes over the bytes once, however they are cut into pieces, and stops at the first wrong one; [`parse`]
//! then reads a whole head. A head with two possible readings is refused.

use std::net::SocketAddr;

use gatepass_core::http::problem::Problem;
use gatepass_core::http::request::REQUEST_ID;

use super::absolute::Absolute;
use super::{Caller, Limits};
use crate::authority::Authority;

/// The most header fields that can be allowed ([`Limits::headers`]).
const MAX_HEADERS: usize = 64;

/// The progress of the search for the end of a head.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The beginning of the request line: behind the one empty line that is allowed (RFC 9112 §2.2).
    start: usize,
    /// The next byte to read.
    at: usize,
    /// The beginning of the current line.
    line: usize,
    /// Whole lines so far.
    lines: usize,
    /// True if the byte before `at` was a carriage return.
    returned: bool,
    /// True if the method is `HEAD`.
    head_only: bool,
}

/// A malformed head, and what is known about how to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) problem: Problem,
    pub(super) caller: Caller,
}

impl Scan {
    /// Reads the new bytes of `input`. Returns where the head begins and ends once it is whole.
    pub(super) fn scan(&mut self, input: &[u8], limits: &Limits) -> Result<Option<(usize, usize)>, Problem> {
        while let Some(&byte) = input.get(self.at) {
            let returned = std::mem::replace(&mut self.returned, byte == b'\r');
            self.at += 1;
            if self.at - self.start > limits.head {
                return Err(Problem::HeadTooLarge);
            }
            match byte {
                b'\n' if returned => {
                    let line = input.get(self.line..self.at - 2).unwrap_or_default();
                    self.line = self.at;
                    if self.end_of_line(line, limits)? {
                        return Ok(Some((self.start, self.at)));
                    }
                }
                // A carriage return is only ever half a line end, a line feed the other half.
                _ if returned => return Err(Problem::BadHttp),
                b'\r' | b'\t' => {}
                0..b' ' | 0x7f => return Err(Problem::BadHttp),
                _ => {}
            }
            if self.lines == 0 && self.at - self.line - usize::from(self.returned) > limits.request_line {
                return Err(Problem::UriTooLong);
            }
        }
        Ok(None)
    }

    /// Takes a whole line; returns true if it ends the head.
    fn end_of_line(&mut self, line: &[u8], limits: &Limits) -> Result<bool, Problem> {
        match (self.lines, line.first()) {
            (0, None) if self.start == 0 => self.start = self.at,
            (0, None) => return Err(Problem::BadHttp),
            (0, Some(_)) => {
                request_line(line)?;
                self.head_only = line.starts_with(b"HEAD ");
                self.lines = 1;
            }
            (_, None) => return Ok(true),
            // A line that begins with white space continues the one before (obs-fold) for some readers, and not for
            // others.
            (_, Some(b' ' | b'\t')) => return Err(Problem::BadHttp),
            (_, Some(_)) if self.lines > limits.headers.min(MAX_HEADERS) => {
                return Err(Problem::HeadTooLarge);
            }
            (_, Some(_)) => self.lines += 1,
        }
        Ok(false)
    }

    /// Returns true if a request has begun: any byte but an empty line in front of it.
    pub(super) const fn has_begun(&self) -> bool {
        self.at > self.start && !(self.at - self.start == 1 && self.start == 0 && self.returned)
    }

    /// Returns true if the method is `HEAD`; then the answer has no body.
    pub(super) const fn is_head_only(&self) -> bool {
        self.head_only
    }
}

/// Checks `method SP target SP version` as soon as the line is complete.
fn request_line(line: &[u8]) -> Result<(), Problem> {
    let mut parts = line.split(|b| *b == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, parts.next()) else {
        return Err(Problem::BadHttp);
    };
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let visible = |b: &u8| b.is_ascii_graphic() && *b != b'#';
    if method.is_empty() || target.is_empty() || !method.iter().all(token) || !target.iter().all(visible) {
        return Err(Problem::BadHttp);
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', number @ ..]
            if !number.is_empty() && number.iter().all(|b| b.is_ascii_digit() || *b == b'.') =>
        {
            Err(Problem::VersionNotSupported)
        }
        _ => Err(Problem::BadHttp),
    }
}

/// The length of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes; 0 without any header about a body.
    Sized(usize),
    /// Until its last chunk.
    Chunked,
}

/// A head that has one meaning.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: String,
    /// In origin form.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) framing: Framing,
    /// The peer waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    /// The connection ends with the answer.
    pub(super) close: bool,
    pub(super) caller: Caller,
}

/// Reads a whole head that [`Scan`] accepted. `local` is the address the connection came in at.
pub(super) fn parse(bytes: &[u8], limits: &Limits, local: SocketAddr) -> Result<Head, Refusal> {
    let plain = |problem| Refusal { problem, caller: Caller::default() };
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(plain(Problem::BadHttp)),
        Err(httparse::Error::TooManyHeaders) => return Err(plain(Problem::HeadTooLarge)),
        Err(_) => return Err(plain(Problem::BadHttp)),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(plain(Problem::BadHttp));
    };
    let fields = Fields(parsed.headers);
    let text = |name| fields.one(name).ok().flatten().and_then(|value| str::from_utf8(value).ok());
    let caller = Caller::of_headers(text("accept-language"), text(REQUEST_ID));
    let refuse = |problem| Refusal { problem, caller: caller.clone() };

    let framing = framing(&fields, minor == 0, limits).map_err(refuse)?;
    let host = match fields.one("host").map_err(refuse)? {
        Some(value) => Some((value, Authority::parse(value).ok_or_else(|| refuse(Problem::BadHttp))?)),
        None if minor == 0 => None,
        None => return Err(refuse(Problem::BadHttp)),
    };
    let (target, own_host) =
        origin_form(method, target, limits, local, host.as_ref().map(|(_, h)| h)).map_err(refuse)?;
    // RFC 9110 §10.1.1: an expectation in an HTTP/1.0 request is ignored.
    let expects_continue = match fields.one("expect").map_err(refuse)? {
        Some(value) if minor == 1 && value.eq_ignore_ascii_case(b"100-continue") => true,
        Some(_) if minor == 1 => return Err(refuse(Problem::ExpectationFailed)),
        Some(_) | None => false,
    };
    if matches!(framing, Framing::Sized(length) if length > limits.body) {
        return Err(refuse(Problem::ContentTooLarge));
    }
    let close = minor == 0
        || fields
            .all("connection")
            .any(|v| v.split(|b| *b == b',').any(|o| o.trim_ascii().eq_ignore_ascii_case(b"close")));

    let mut headers: Vec<(String, Vec<u8>)> =
        fields.0.iter().map(|f| (f.name.to_ascii_lowercase(), f.value.to_vec())).collect();
    if let Some(own) = own_host {
        // RFC 9112 §3.2.2: the target's authority counts, not the field's.
        headers.retain(|(name, _)| name != "host");
        headers.push(("host".into(), own.into_bytes()));
    }
    Ok(Head { method: method.into(), target, headers, framing, expects_continue, close, caller })
}

/// The fields of a head, looked up by name.
struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// Returns every value of field `name`.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
    }

    /// Returns the value of a field that may come once.
    fn one(&self, name: &'static str) -> Result<Option<&'a [u8]>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Problem::BadHttp),
        }
    }
}

/// Returns the one reading of `Content-Length` and `Transfer-Encoding` (RFC 9112 §6), or a refusal. A length beyond
/// every limit is `usize::MAX`.
fn framing(fields: &Fields<'_>, old: bool, limits: &Limits) -> Result<Framing, Problem> {
    let coding = fields.one("transfer-encoding")?;
    let length = fields.one("content-length")?;
    match (coding, length) {
        (None, None) => Ok(Framing::Sized(0)),
        (Some(_), Some(_)) => Err(Problem::BadHttp),
        (Some(_), None) if old => Err(Problem::BadHttp),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (Some(b""), None) => Err(Problem::BadHttp),
        (Some(_), None) => Err(Problem::NotImplemented),
        (None, Some(digits)) => {
            let canonical =
                matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
            if !canonical {
                return Err(Problem::BadHttp);
            }
            let length = str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).unwrap_or(usize::MAX);
            Ok(Framing::Sized(length.min(limits.body.saturating_add(1))))
        }
    }
}

/// Returns the target in origin form, or `*` for `OPTIONS` about the server itself, and the authority in it, if any.
fn origin_form(
    method: &str,
    target: &str,
    limits: &Limits,
    local: SocketAddr,
    host: Option<&Authority<'_>>,
) -> Result<(String, Option<String>), Problem> {
    if method == "CONNECT" {
        // Tunnels are not supported.
        return Err(Problem::NotImplemented);
    }
    if target.starts_with('/') || (method == "OPTIONS" && target == "*") {
        // Only HTTP/1.0 has no `Host`, and no browser speaks that.
        return match host {
            Some(host) if !limits.hosts.serve_host(host, Some(local)) => Err(Problem::MisdirectedRequest),
            Some(_) | None => Ok((target.into(), None)),
        };
    }
    let absolute = Absolute::parse(target).ok_or(Problem::BadHttp)?;
    if !absolute.is_ours(&limits.hosts, local, host) {
        return Err(Problem::MisdirectedRequest);
    }
    Ok((absolute.origin, Some(absolute.text.into())))
}
