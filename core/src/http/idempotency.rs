//! The `Idempotency-Key` header.

use crate::base::idempotency_key::IdempotencyKey;
use crate::http::request::Request;

/// The name of the header, in lower case.
const HEADER: &str = "idempotency-key";

/// An `Idempotency-Key` header that is repeated, too short or too long, or has characters that no key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// Reads the header of `request`; none where it has no such header. A key in double quotes (a string of RFC 8941) and
    /// the same key without them are one key.
    ///
    /// # Errors
    /// [`IdempotencyKeyError`] where the header is there and holds no key.
    pub fn of(request: &Request) -> Result<Option<Self>, IdempotencyKeyError> {
        let value = request.header(HEADER).map_err(|_| IdempotencyKeyError)?;
        value.map(|value| Self::parse(value).ok_or(IdempotencyKeyError)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String, vec::Vec};

    fn request(values: &[&[u8]]) -> Request {
        Request {
            method: "POST".into(),
            target: "/auth/ticket/signin".into(),
            headers: values.iter().map(|value| (HEADER.into(), value.to_vec())).collect(),
            body: Vec::new(),
            peer: [127, 0, 0, 1].into(),
        }
    }

    const KEY: &str = "0123456789abcdefghijkl";

    #[test]
    fn a_key_comes_once_quoted_or_bare() {
        let read = |values: &[&[u8]]| IdempotencyKey::of(&request(values));
        let key = Ok(IdempotencyKey::parse(KEY));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[KEY.as_bytes()]), key);
        assert_eq!(read(&[format!("\"{KEY}\"").as_bytes()]), key);
        let longest = "!".repeat(128);
        assert!(read(&[longest.as_bytes()]).is_ok_and(|key| key.is_some()));
        let bad: [String; 16] = [
            String::new(),
            "\"".into(),
            "\"\"".into(),
            KEY[1..].into(),
            format!("\"{}\"", &KEY[1..]),
            format!("!{longest}"),
            format!("\"!{longest}\""),
            format!("\"{KEY}"),
            format!("{KEY}\""),
            format!("'{KEY}\""),
            format!("\"{KEY}\";a=1"),
            format!("{KEY} {KEY}"),
            format!("\"{KEY}\\\\\""),
            format!("\"{KEY}\\\"\""),
            format!("{KEY}\\"),
            format!("{KEY}\u{e9}"),
        ];
        for value in &bad {
            assert_eq!(read(&[value.as_bytes()]), Err(IdempotencyKeyError), "{value}");
        }
        assert_eq!(read(&[KEY.as_bytes(), KEY.as_bytes()]), Err(IdempotencyKeyError), "sent twice");
        assert_eq!(read(&[&[0xff; 22]]), Err(IdempotencyKeyError), "no ASCII");
    }
}
