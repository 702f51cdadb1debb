//! `application/x-www-form-urlencoded` bodies, read strictly.

use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};

/// The parameters of a form body, each at most once.
pub struct Form<'a>(BTreeMap<Cow<'a, str>, Cow<'a, str>>);

/// Not a form with one reading: a bad percent-escape, NUL, not UTF-8, or a repeated parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormError;

impl<'a> Form<'a> {
    /// Reads `body`. The work is bounded by the body's own bound.
    ///
    /// # Errors
    /// [`FormError`] where an escape is invalid, a NUL or non-UTF-8 comes out, or any parameter, known or not,
    /// is repeated (RFC 6749 §3.2).
    pub fn parse(body: &'a [u8]) -> Result<Self, FormError> {
        let mut parameters = BTreeMap::new();
        for pair in body.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
            let split = pair.iter().position(|&b| b == b'=');
            let (name, value) = match split.and_then(|at| pair.split_at_checked(at)) {
                Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
                None => (pair, &[][..]),
            };
            if parameters.insert(decode(name)?, decode(value)?).is_some() {
                return Err(FormError);
            }
        }
        Ok(Self(parameters))
    }

    /// The value of `name`; an empty one counts as absent (RFC 6749 §3.2).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value).filter(|value| !value.is_empty())
    }
}

impl core::fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Form({} parameters)", self.0.len())
    }
}

/// `+` and `%XX` undone; also what a Basic header's parts are encoded with (RFC 6749 §2.3.1).
pub(crate) fn decode(encoded: &[u8]) -> Result<Cow<'_, str>, FormError> {
    if !encoded.iter().any(|b| matches!(b, b'+' | b'%' | 0)) {
        return core::str::from_utf8(encoded).map(Cow::Borrowed).map_err(|_| FormError);
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            other => other,
        });
    }
    if decoded.contains(&0) {
        return Err(FormError);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| FormError)
}

fn hex(digit: Option<&u8>) -> Result<u8, FormError> {
    match digit {
        Some(d @ b'0'..=b'9') => Ok(d - b'0'),
        Some(d @ b'a'..=b'f') => Ok(d - b'a' + 10),
        Some(d @ b'A'..=b'F') => Ok(d - b'A' + 10),
        Some(_) | None => Err(FormError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_or_none() {
        let ok = |body: &str, name: &str| Form::parse(body.as_bytes()).map(|f| f.get(name).map(String::from));
        assert_eq!(ok("a=1&b=2", "b"), Ok(Some("2".into())));
        assert_eq!(ok("a=b+c%20d%2B", "a"), Ok(Some("b c d+".into())));
        assert_eq!(ok("%61=1", "a"), Ok(Some("1".into())));
        assert_eq!(ok("a=x=y", "a"), Ok(Some("x=y".into())));
        assert_eq!(ok("", "a"), Ok(None));
        assert_eq!(ok("a=", "a"), Ok(None));
        assert_eq!(ok("a", "a"), Ok(None));
        assert_eq!(ok("&&a=1&", "a"), Ok(Some("1".into())));
        assert_eq!(ok("a=%E5%BC%A0", "a"), Ok(Some("张".into())));
        for bad in [
            "a=1&a=1",
            "a=&a=",
            "x=1&%78=2",
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%+1",
            "a=%00",
            "a=%ff",
            "a=%c0%af",
            "a=\0",
        ] {
            assert_eq!(ok(bad, "a"), Err(FormError), "{bad}");
        }
    }

    #[test]
    fn ten_thousand_parameters_are_only_slow_to_type() {
        let mut body = String::new();
        for i in 0..10_000 {
            body.push_str(&alloc::format!("{i}=&"));
        }
        assert_eq!(Form::parse(body.as_bytes()).unwrap().get("77"), None);
    }
}
