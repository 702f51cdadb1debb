//! The answer as bytes: one buffer with head and body, so that it is sent in one write.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatepass_core::http::response::Response;

/// The interim answer to `Expect: 100-continue`.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Header fields that only the front may send.
const OURS: [&str; 4] = ["content-length", "date", "connection", "transfer-encoding"];

/// Returns true if the head is fit for the wire: a final status, and no header that could end its line.
pub(super) fn printable(response: &Response) -> bool {
    (200..600).contains(&response.status())
        && response.headers().all(|(name, value)| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                && value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
        })
}

/// Appends `response` to `out`. Without `body` only its length is sent (`HEAD`). The caller has checked that it is
/// [`printable`]; a field that is not is left out.
pub(super) fn print(out: &mut Vec<u8>, response: &Response, date: &str, close: bool, body: bool) {
    let bodiless = matches!(response.status(), 204 | 304);
    let bytes = response.body();
    let fields: usize = response.headers().map(|(name, value)| name.len() + value.len() + 4).sum();
    out.reserve_exact(160 + fields + if body && !bodiless { bytes.len() } else { 0 });

    let status = response.status();
    // Writing to a Vec does not fail.
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in response.headers() {
        let ours = OURS.iter().any(|o| name.eq_ignore_ascii_case(o));
        if ours || value.bytes().chain(name.bytes()).any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            continue;
        }
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    if !bodiless {
        let _ = write!(out, "Content-Length: {}\r\n", bytes.len());
    }
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(date.as_bytes());
    out.extend_from_slice(if close { b"\r\nConnection: close\r\n\r\n" } else { b"\r\n\r\n" });
    if body && !bodiless {
        out.extend_from_slice(bytes);
    }
}

/// Returns the reason phrase of RFC 9110 §15 for the statuses sent here; an unknown one is empty, which the grammar
/// allows.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// The `Date` of an answer, formatted once a second. Each thread has its own.
#[derive(Debug, Default)]
pub(super) struct Date {
    second: u64,
    text: String,
}

impl Date {
    /// Returns the wall clock's time as an IMF-fixdate (RFC 9110 §5.6.7).
    pub(super) fn now(&mut self) -> &str {
        let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = imf_fixdate(second);
        }
        &self.text
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` for seconds since 1970. The year 9999 is the last.
fn imf_fixdate(unix: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix.min(253_402_300_799)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_rfc_9110_prints_them() {
        for (unix, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ] {
            assert_eq!(imf_fixdate(unix), text);
        }
    }

    #[test]
    fn a_date_is_made_once() {
        let mut date = Date::default();
        assert!(date.now().ends_with(" GMT"));
        assert_eq!(date.now().len(), 29);
    }

    fn printed(response: &Response, close: bool, body: bool) -> String {
        let mut out = Vec::new();
        print(&mut out, response, "D", close, body);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_on_the_wire() {
        let response = Response::new(200, "text/plain", b"hello".to_vec()).with("X-A", "b");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-content-type-options: nosniff\r\nX-A: b\r\nContent-Length: 5\r\nDate: D\r\n";
        assert_eq!(printed(&response, false, true), format!("{head}\r\nhello"));
        assert_eq!(printed(&response, true, true), format!("{head}Connection: close\r\n\r\nhello"));
        assert_eq!(printed(&response, false, false), format!("{head}\r\n"));
    }

    #[test]
    fn nothing_gets_into_the_head_that_does_not_belong() {
        let response = Response::new(200, "text/plain", Vec::new())
            .with("Connection", "upgrade")
            .with("content-length", "7")
            .with("Transfer-Encoding", "chunked")
            .with("X-Bad", "a\r\nSet-Cookie: b")
            .with("Date", "then");
        assert!(!printable(&response));
        assert_eq!(
            printed(&response, false, true),
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-content-type-options: nosniff\r\nContent-Length: 0\r\nDate: D\r\n\r\n"
        );
        for value in ["a\nb", "a\rb", "a\0b", "\x7f", "\x1b[0m"] {
            assert!(!printable(&Response::new(200, "text/plain", Vec::new()).with("X", value)), "{value:?}");
        }
        for status in [0, 99, 100, 101, 199, 600, 1000] {
            assert!(!printable(&Response::new(status, "text/plain", Vec::new())), "{status}");
        }
        assert!(printable(&Response::new(599, "text/plain", Vec::new()).with("X", "ok \t é")));
    }

    #[test]
    fn no_content_has_neither_length_nor_body() {
        let text = printed(&Response::new(204, "text/plain", b"x".to_vec()), false, true);
        assert!(!text.contains("Content-Length") && text.ends_with("\r\n\r\n"), "{text}");
    }
}
