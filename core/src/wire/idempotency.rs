//! The `Idempotency-Key` header: a secret by which a request whose answer was lost may be sent again (CONTRACT §3).

use crate::secret::SecretText;
use crate::wire::request::Request;

/// The name of the header, in lower case.
const HEADER: &str = "idempotency-key";

/// The fewest and the most characters of a key.
const LENGTHS: core::ops::RangeInclusive<usize> = 22..=128;

/// The key of one request: 22 to 128 visible ASCII characters other than `"` and `\`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(SecretText);

/// An `Idempotency-Key` header that is repeated, too short or too long, or has characters that no key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIdempotencyKey;

impl IdempotencyKey {
    /// Reads the header of `request`; none where it has no such header. A key in double quotes (a string of RFC 8941) and
    /// the same key without them are one key.
    ///
    /// # Errors
    /// [`BadIdempotencyKey`] where the header is there and holds no key.
    pub fn of(request: &Request) -> Result<Option<Self>, BadIdempotencyKey> {
        let value = request.header(HEADER).map_err(|_| BadIdempotencyKey)?;
        value.map(|value| Self::parse(value).ok_or(BadIdempotencyKey)).transpose()
    }

    /// Reads the value of the header.
    pub fn parse(value: &str) -> Option<Self> {
        let text = match value.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"')?,
            None => value,
        };
        let belongs = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let fits = LENGTHS.contains(&text.len()) && text.bytes().all(belongs);
        fits.then(|| Self(SecretText::new(text.into())))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::String, vec::Vec};
    use proptest::prelude::*;

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
            assert_eq!(read(&[value.as_bytes()]), Err(BadIdempotencyKey), "{value}");
        }
        assert_eq!(read(&[KEY.as_bytes(), KEY.as_bytes()]), Err(BadIdempotencyKey), "sent twice");
        assert_eq!(read(&[&[0xff; 22]]), Err(BadIdempotencyKey), "no ASCII");
    }

    #[test]
    fn a_key_is_never_shown() {
        let shown = format!("{:?}", IdempotencyKey::parse(KEY));
        assert!(!shown.contains(KEY), "{shown}");
    }

    proptest! {
        /// A value is read exactly where it has the form, and then both spellings of the key are the same.
        #[test]
        fn a_value_is_a_key_exactly_where_it_has_the_form(value in "[ -~]{0,140}|\"[!-~]{20,130}\"|[!-~]{20,130}") {
            let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
            let inner = if quoted { &value[1..value.len() - 1] } else { value.as_str() };
            let graphic = inner.chars().all(|c| ('!'..='~').contains(&c) && c != '"' && c != '\\');
            let expected = (22..=128).contains(&inner.len()) && graphic;
            let read = IdempotencyKey::parse(&value);
            prop_assert_eq!(read.is_some(), expected);
            if let Some(key) = read {
                prop_assert_eq!(key.expose(), inner);
                prop_assert_eq!(IdempotencyKey::parse(&format!("\"{inner}\"")), Some(key.clone()));
                prop_assert_eq!(IdempotencyKey::parse(inner), Some(key));
            }
        }
    }
}
