//! The `Authorization` header: `Basic` (RFC 7617) and `Bearer` (RFC 6750).

use alloc::{borrow::Cow, string::String, vec::Vec};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::base::form::{self, EscapeError};
use crate::base::secret::SecretText;
use crate::http::request::{HeaderError, Request};

/// The content of the `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub enum Authorization {
    /// There is none.
    Absent,
    /// `Basic` with a name and a secret.
    Basic(BasicCredentials),
    /// `Basic` with something else.
    BadBasic,
    /// `Bearer` with a `b64token`.
    Bearer(SecretText),
    /// `Bearer` with something else.
    BadBearer,
    /// Another scheme.
    Other,
}

/// A `Basic` header, read.
#[derive(Debug, PartialEq, Eq)]
pub struct BasicCredentials {
    /// The name before the colon, form-decoded (RFC 6749 §2.3.1).
    pub name: String,
    /// The secret: form-decoded, and raw where that differs, since many clients send it so.
    pub readings: Vec<SecretText>,
}

impl Authorization {
    /// Reads the header of `request`.
    ///
    /// # Errors
    /// [`HeaderError`] where it is repeated or not visible ASCII.
    pub fn of(request: &Request) -> Result<Self, HeaderError> {
        let Some(value) = request.header("authorization")? else { return Ok(Self::Absent) };
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        let rest = rest.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("basic") {
            return Ok(basic(rest).map_or(Self::BadBasic, Self::Basic));
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(if is_b64token(rest) {
                Self::Bearer(SecretText::new(rest.into()))
            } else {
                Self::BadBearer
            });
        }
        Ok(Self::Other)
    }
}

fn basic(encoded: &str) -> Option<BasicCredentials> {
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let text = core::str::from_utf8(&decoded).ok()?;
    let (name, secret) = text.split_once(':')?;
    let name = form::decode(name.as_bytes()).ok()?.into_owned();
    let decoded = match form::decode(secret.as_bytes()) {
        Ok(Cow::Owned(decoded)) => Some(SecretText::new(decoded)),
        // Nothing was to be decoded, or it cannot be.
        Ok(Cow::Borrowed(_)) | Err(EscapeError) => None,
    };
    let readings = decoded.into_iter().chain([SecretText::new(secret.into())]).collect();
    Some(BasicCredentials { name, readings })
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750 §2.1).
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=').as_bytes();
    // Without a way out in the middle many bytes are looked at in one step: it is most of what is read of a request.
    let belongs = |b: &u8| {
        b.is_ascii_alphanumeric()
            | (*b == b'-')
            | (*b == b'.')
            | (*b == b'_')
            | (*b == b'~')
            | (*b == b'+')
            | (*b == b'/')
    };
    !body.is_empty() & body.iter().fold(true, |all, byte| all & belongs(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn read(value: &str) -> Authorization {
        let request = Request {
            method: "POST".into(),
            target: "/".into(),
            headers: vec![("authorization".into(), value.into())],
            body: vec![],
            peer: core::net::IpAddr::from([127, 0, 0, 1]),
        };
        Authorization::of(&request).unwrap()
    }

    #[test]
    fn basic_is_read_both_ways() {
        let credentials = |plain: &str| {
            let Authorization::Basic(c) = read(&alloc::format!("bAsIc {}", STANDARD.encode(plain))) else {
                return None;
            };
            Some((c.name, c.readings.iter().map(|r| r.expose().into()).collect::<Vec<String>>()))
        };
        assert_eq!(credentials("svc:s3cret"), Some(("svc".into(), vec!["s3cret".into()])));
        assert_eq!(credentials("s%76c:a%2Bb"), Some(("svc".into(), vec!["a+b".into(), "a%2Bb".into()])));
        assert_eq!(credentials("svc:a+b"), Some(("svc".into(), vec!["a b".into(), "a+b".into()])));
        assert_eq!(credentials("svc:100%"), Some(("svc".into(), vec!["100%".into()])));
        assert_eq!(credentials("svc:a:b"), Some(("svc".into(), vec!["a:b".into()])));
        assert_eq!(credentials("svc:"), Some(("svc".into(), vec!["".into()])));
        for bad in ["svc", "%zz:x"] {
            assert_eq!(credentials(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_not_credentials() {
        use Authorization::{BadBasic, BadBearer, Bearer, Other};
        for (value, read_as) in [
            ("Basic", BadBasic),
            ("Basic !!!", BadBasic),
            ("Basic c3ZjOnM", BadBasic),
            ("Basic /////w==", BadBasic),
            ("Bearer", BadBearer),
            ("Bearer a b", BadBearer),
            ("Bearer ==", BadBearer),
            ("Bearer a,b", BadBearer),
            ("bearer  a.b-c_d~e+f/g==", Bearer(SecretText::new("a.b-c_d~e+f/g==".into()))),
            ("Digest x", Other),
            ("", Other),
        ] {
            assert_eq!(read(value), read_as, "{value}");
        }
    }
}
