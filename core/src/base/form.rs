//! `application/x-www-form-urlencoded` bodies, read strictly.

use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};
use core::fmt;

use crate::base::plain_name::plain_name;

/// The most parameters that are read. Each costs memory and a look-up.
pub const MAX_PARAMETERS: usize = 1000;

/// The one parameter that may be repeated (RFC 8707 §2).
const REPEATABLE: &str = "resource";

/// The parameters of a form body, each at most once, and `resource` as often as it stands there.
pub struct Form<'a> {
    parameters: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    resources: Vec<Cow<'a, str>>,
}

/// A text that is not a form with one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormError {
    /// The parameter of this number, from 1, has a bad percent-escape, a NUL, or bytes that are not UTF-8.
    Illegible(usize),
    /// The parameter of this number, from 1, is repeated: this one, if its name can be told.
    Repeated(usize, Option<String>),
    /// There are more than [`MAX_PARAMETERS`].
    TooMany,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Illegible(number) => {
                write!(
                    f,
                    "parameter {number} of the form has an invalid percent-escape, or is not UTF-8 text"
                )
            }
            Self::Repeated(_, Some(name)) => write!(f, "the parameter {name} is repeated"),
            Self::Repeated(number, None) => write!(f, "parameter {number} of the form is repeated"),
            Self::TooMany => write!(f, "the form has more than {MAX_PARAMETERS} parameters"),
        }
    }
}

impl core::error::Error for FormError {}

/// A text with an invalid percent-escape, a NUL, or bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EscapeError;

impl<'a> Form<'a> {
    /// Reads `body`. The work is bounded by the body's own bound.
    ///
    /// # Errors
    /// [`FormError`] where an escape is invalid, a NUL or non-UTF-8 comes out, any parameter, known or not, is repeated
    /// (RFC 6749 §3.2; RFC 8707's `resource` apart), or there are more than [`MAX_PARAMETERS`].
    pub fn parse(body: &'a [u8]) -> Result<Self, FormError> {
        let (mut parameters, mut resources) = (BTreeMap::new(), Vec::new());
        let pairs = body.split(|&b| b == b'&').filter(|pair| !pair.is_empty());
        for (number, pair) in (1..).zip(pairs) {
            if number > MAX_PARAMETERS {
                return Err(FormError::TooMany);
            }
            let split = pair.iter().position(|&b| b == b'=');
            let (name, value) = match split.and_then(|at| pair.split_at_checked(at)) {
                Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
                None => (pair, &[][..]),
            };
            let illegible = |EscapeError| FormError::Illegible(number);
            let (name, value) = (decode(name).map_err(illegible)?, decode(value).map_err(illegible)?);
            // What has no value may be one in the wrong place.
            let shown = split.and_then(|_| plain_name(&name));
            if name == REPEATABLE {
                resources.push(value);
                continue;
            }
            if parameters.contains_key(&name) {
                return Err(FormError::Repeated(number, shown));
            }
            parameters.insert(name, value);
        }
        Ok(Self { parameters, resources })
    }

    /// The parameters, the empty ones too, by name.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of `name`; an empty one counts as absent (RFC 6749 §3.2).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(|value| &**value).filter(|value| !value.is_empty())
    }

    /// The values of `resource`, in their order; empty ones count as absent.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(|value| &**value).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({} parameters)", self.parameters.len() + self.resources.len())
    }
}

/// Undoes the `%XX` of one segment of a path; a `+` is one.
///
/// # Errors
/// [`EscapeError`] where an escape is invalid, or a NUL or bytes that are not UTF-8 come out.
pub(crate) fn decode_segment(segment: &str) -> Result<Cow<'_, str>, EscapeError> {
    if segment.contains('%') {
        let decoded = decode(segment.replace('+', "%2B").as_bytes())?.into_owned();
        return Ok(Cow::Owned(decoded));
    }
    Ok(Cow::Borrowed(segment))
}

/// `+` and `%XX` undone; also what a Basic header's parts are encoded with (RFC 6749 §2.3.1).
pub(crate) fn decode(encoded: &[u8]) -> Result<Cow<'_, str>, EscapeError> {
    if !encoded.iter().any(|b| matches!(b, b'+' | b'%' | 0)) {
        return core::str::from_utf8(encoded).map(Cow::Borrowed).map_err(|_| EscapeError);
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
        return Err(EscapeError);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| EscapeError)
}

fn hex(digit: Option<&u8>) -> Result<u8, EscapeError> {
    match digit {
        Some(d @ b'0'..=b'9') => Ok(d - b'0'),
        Some(d @ b'a'..=b'f') => Ok(d - b'a' + 10),
        Some(d @ b'A'..=b'F') => Ok(d - b'A' + 10),
        Some(_) | None => Err(EscapeError),
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
        for bad in ["a=%", "a=%4", "a=%zz", "a=%+1", "a=%00", "a=%ff", "a=%c0%af", "a=\0"] {
            assert_eq!(ok(bad, "a"), Err(FormError::Illegible(1)), "{bad}");
            let second = alloc::format!("b=1&{bad}&c=1");
            assert_eq!(ok(&second, "a"), Err(FormError::Illegible(2)), "{bad}");
        }
        for (twice, number, name) in [
            ("a=1&a=1", 2, Some("a")),
            ("a=&b=&a=", 3, Some("a")),
            ("x=1&%78=2", 2, Some("x")),
            ("a=1&a", 2, None),
            ("p%20w=1&p%20w=1", 2, None),
        ] {
            assert_eq!(ok(twice, "a"), Err(FormError::Repeated(number, name.map(Into::into))), "{twice}");
        }
        let form = Form::parse(b"resource=https://a.example&resource=&resource=b&a=1").unwrap();
        assert_eq!(form.resources().collect::<Vec<_>>(), ["https://a.example", "b"]);
        assert_eq!((form.get("a"), form.get("resource")), (Some("1"), None));
    }

    #[test]
    fn more_parameters_than_anybody_needs_are_refused() {
        let form = |count: usize| (0..count).map(|i| alloc::format!("{i}=&")).collect::<String>();
        assert_eq!(Form::parse(form(MAX_PARAMETERS).as_bytes()).unwrap().get("77"), None);
        for count in [MAX_PARAMETERS + 1, 10_000] {
            assert_eq!(Form::parse(form(count).as_bytes()).unwrap_err(), FormError::TooMany);
        }
    }
}
