//! The `Authorization` header: `Basic` (RFC 7617) and `Bearer` (RFC 6750).

use alloc::{borrow::Cow, vec::Vec};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::form::{self, BadForm};
use super::request::{Ambiguous, Request};
use crate::model::client::{AuthenticatedClient, Client, ClientRefusal};
use crate::model::id::ClientId;
use crate::secret::SecretText;
use crate::time::Time;

/// What the `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
pub enum Authorization {
    /// There is none.
    Absent,
    /// `Basic` with a legible client id.
    Basic(ClientCredentials),
    /// `Basic`, but not legible as credentials.
    BadBasic,
    /// `Bearer` with a `b64token`.
    Bearer(SecretText),
    /// `Bearer` with something else.
    BadBearer,
    /// Another scheme.
    Other,
}

/// A client's credentials as it presents them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The client id. Its characters read the same form-decoded and raw.
    pub id: ClientId,
    /// The secret; from a Basic header form-decoded (RFC 6749 §2.3.1), and raw where that differs, since many clients
    /// send it so.
    pub readings: Vec<SecretText>,
}

impl ClientCredentials {
    /// Whether they are those of `record`, which was looked up by their id.
    ///
    /// # Errors
    /// [`ClientRefusal`], for the audit table alone.
    pub fn authenticate<'a>(
        &self,
        record: Option<&'a Client>,
        now: Time,
    ) -> Result<AuthenticatedClient<'a>, ClientRefusal> {
        Client::authenticate(record.filter(|client| client.id == self.id), &self.readings, now)
    }
}

impl Authorization {
    /// Reads the header of `request`.
    ///
    /// # Errors
    /// [`Ambiguous`] where it is repeated or not visible ASCII.
    pub fn of(request: &Request) -> Result<Self, Ambiguous> {
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

fn basic(encoded: &str) -> Option<ClientCredentials> {
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let text = core::str::from_utf8(&decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    let id = ClientId::parse(&form::decode(id.as_bytes()).ok()?).ok()?;
    let decoded = match form::decode(secret.as_bytes()) {
        Ok(Cow::Owned(decoded)) => Some(SecretText::new(decoded)),
        // Nothing was to be decoded, or it cannot be.
        Ok(Cow::Borrowed(_)) | Err(BadForm) => None,
    };
    let readings = decoded.into_iter().chain([SecretText::new(secret.into())]).collect();
    Some(ClientCredentials { id, readings })
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
    use alloc::{string::String, vec};

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
            Some((String::from(c.id), c.readings.iter().map(|r| r.expose().into()).collect::<Vec<String>>()))
        };
        assert_eq!(credentials("svc:s3cret"), Some(("svc".into(), vec!["s3cret".into()])));
        assert_eq!(credentials("s%76c:a%2Bb"), Some(("svc".into(), vec!["a+b".into(), "a%2Bb".into()])));
        assert_eq!(credentials("svc:a+b"), Some(("svc".into(), vec!["a b".into(), "a+b".into()])));
        assert_eq!(credentials("svc:100%"), Some(("svc".into(), vec!["100%".into()])));
        assert_eq!(credentials("svc:a:b"), Some(("svc".into(), vec!["a:b".into()])));
        assert_eq!(credentials("svc:"), Some(("svc".into(), vec!["".into()])));
        for bad in ["svc", ":x", "a b:x", "%zz:x", "%00:x"] {
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
