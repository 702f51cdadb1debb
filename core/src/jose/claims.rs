//! The claims of an access token (RFC 9068 §2.2), and nothing that can be mistaken for them.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::fmt;
use core::num::NonZero;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::json::parse_object;
use crate::base::time::Time;
use crate::jose::jws::{Compact, JwsError, VerifiedJws};
use crate::jose::key::KeySet;

/// The kinds of access token, told apart by the header's `typ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// `at+jwt`: an access token (RFC 9068 §2.1).
    Access,
    /// `restricted+jwt`: good for changing a password or enrolling a second factor here, and for nothing anywhere else. Whoever checks the
    /// signature and `aud` alone has to be told by the type.
    Restricted,
}

impl TokenType {
    /// The `typ` of the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Restricted => "restricted+jwt",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Access, Self::Restricted].into_iter().find(|kind| is_token_type(text, kind.as_str()))
    }
}

/// Returns true if a `typ` is `wanted`: with or without `application/`, in any case (RFC 9068 §4, RFC 7515 §4.1.9).
pub(crate) fn is_token_type(text: &str, wanted: &str) -> bool {
    let subtype = match text.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        Some(_) | None => text,
    };
    subtype.eq_ignore_ascii_case(wanted)
}

/// The claims of an access token. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// The issuer.
    pub iss: String,
    /// The subject.
    pub sub: String,
    /// The audiences; never empty.
    pub aud: Vec<String>,
    /// The time from which it is refused.
    pub exp: Time,
    /// The time of issue.
    pub iat: Time,
    /// The time before which it is refused.
    pub nbf: Option<Time>,
    /// Its own identifier.
    pub jti: String,
    /// The client it was issued to.
    pub client_id: String,
    /// The granted scope.
    pub scope: Option<String>,
    /// The time of the person's sign-in.
    pub auth_time: Option<Time>,
    /// The authentication methods (RFC 8176).
    pub amr: Option<Vec<String>>,
    /// The person's session; a service's token has none.
    pub sid: Option<String>,
    /// The actor: `act.sub` (RFC 8693 §4.1).
    pub act: Option<String>,
    /// The state epoch that a service's token was issued in: a claim of our own, absent where it is 0.
    pub state_epoch: u64,
    /// The epoch of the client that a service's token was issued to: a claim of our own, absent where it is 0.
    pub client_epoch: u64,
    /// The time of issue by `RequestInputs::now`: a private claim, absent if the wall clock, which `iat`, `nbf` and `exp` use,
    /// did not differ from that by more than a minute.
    pub own_iat: Option<Time>,
}

/// An error in the claims of a token that one of our keys signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// `typ` is not `at+jwt`: another kind of token.
    WrongType,
    /// `typ` is `restricted+jwt`: the token opens nothing but a password change or an enrolment.
    Restricted,
    /// The named claim is absent, or not of its type.
    Malformed(&'static str),
    /// `iss` is not this server.
    WrongIssuer,
    /// `aud` does not hold this server.
    WrongAudience,
    /// It expired.
    Expired {
        /// The time when it expired.
        at: Time,
        /// The time of the check.
        now: Time,
    },
    /// `nbf` or `iat` lies ahead.
    NotYet {
        /// The time from which it is good.
        from: Time,
        /// The time of the check.
        now: Time,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType => f.write_str("the token is not an access token: its typ is not at+jwt"),
            Self::Restricted => f.write_str(
                "the token is restricted (its typ is restricted+jwt): it is good for changing the password or enrolling a second factor here, and for nothing else",
            ),
            Self::Malformed(claim) => write!(f, "the token's {claim} is absent or malformed"),
            Self::WrongIssuer => f.write_str("the token was issued by another server"),
            Self::WrongAudience => f.write_str("the token is not meant for this server"),
            Self::Expired { at, now } => write!(f, "the token expired at {at}; it is {now}"),
            Self::NotYet { from, now } => write!(f, "the token is good from {from} on; it is {now}"),
        }
    }
}

impl core::error::Error for ClaimError {}

impl AccessClaims {
    /// Reads the claims of a verified token.
    ///
    /// # Errors
    /// [`ClaimError::WrongType`], [`ClaimError::Restricted`] or [`ClaimError::Malformed`].
    pub fn parse(jws: &VerifiedJws<'_>) -> Result<Self, ClaimError> {
        let (token_type, claims) = Self::of(jws.token_type(), &Claims::parse(jws.payload())?)?;
        claims.of_type(TokenType::Access, token_type)
    }

    /// Returns the claims where they are those of a token of type `wanted`.
    pub(crate) fn of_type(self, wanted: TokenType, found: TokenType) -> Result<Self, ClaimError> {
        match found {
            _ if found == wanted => Ok(self),
            TokenType::Restricted => Err(ClaimError::Restricted),
            TokenType::Access => Err(ClaimError::WrongType),
        }
    }

    fn of(token_type: Option<&str>, claims: &Claims) -> Result<(TokenType, Self), ClaimError> {
        let token_type = token_type.and_then(TokenType::read).ok_or(ClaimError::WrongType)?;
        let claims = Self {
            iss: claims.text("iss")?.to_owned(),
            sub: claims.text("sub")?.to_owned(),
            aud: claims.audience()?,
            exp: claims.time("exp")?.ok_or(ClaimError::Malformed("exp"))?,
            iat: claims.time("iat")?.ok_or(ClaimError::Malformed("iat"))?,
            nbf: claims.time("nbf")?,
            jti: claims.text("jti")?.to_owned(),
            client_id: claims.text("client_id")?.to_owned(),
            scope: claims.optional_text("scope")?.map(ToOwned::to_owned),
            auth_time: claims.time("auth_time")?,
            amr: claims.texts("amr")?,
            sid: claims.optional_text("sid")?.map(ToOwned::to_owned),
            act: claims.actor()?.map(ToOwned::to_owned),
            state_epoch: claims.number("state_epoch")?.unwrap_or_default(),
            client_epoch: claims.number("client_epoch")?.unwrap_or_default(),
            own_iat: claims.time("own_iat")?,
        };
        Ok((token_type, claims))
    }

    /// Returns from when on it is refused, by our own time.
    pub fn expires_at(&self) -> Time {
        self.own_iat.map_or(self.exp, |issued| issued.plus(self.iat.until(self.exp)))
    }

    /// Checks that the token is ours, for us, and in time at `now`, which is our own time. Since its times are by the wall clock, where
    /// it does not tell our own, `iat` and `nbf` may lie [`LEEWAY`](crate::base::time::LEEWAY) seconds ahead.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, issuer: &str, now: Time) -> Result<(), ClaimError> {
        if self.iss != issuer {
            return Err(ClaimError::WrongIssuer);
        }
        if !self.aud.iter().any(|audience| audience == issuer) {
            return Err(ClaimError::WrongAudience);
        }
        let at = self.expires_at();
        if now >= at || self.exp <= self.iat {
            return Err(ClaimError::Expired { at, now });
        }
        let from = self.own_iat.unwrap_or_else(|| self.nbf.map_or(self.iat, |from| from.max(self.iat)));
        if from.is_ahead_of(now) { Err(ClaimError::NotYet { from, now }) } else { Ok(()) }
    }

    /// The claims as JSON, those that are absent left out; one audience stands alone, several in an array.
    pub fn to_json(&self) -> Vec<u8> {
        let wire = WireClaims {
            iss: &self.iss,
            sub: &self.sub,
            aud: self.aud.iter().map(String::as_str).collect(),
            exp: self.exp.unix(),
            nbf: self.nbf.map(Time::unix),
            iat: self.iat.unix(),
            jti: &self.jti,
            client_id: &self.client_id,
            scope: self.scope.as_deref(),
            auth_time: self.auth_time.map(Time::unix),
            amr: self.amr.as_deref(),
            sid: self.sid.as_deref(),
            act: self.act.as_deref().map(|sub| Actor { sub }),
            state_epoch: NonZero::new(self.state_epoch),
            client_epoch: NonZero::new(self.client_epoch),
            own_iat: self.own_iat.map(Time::unix),
        };
        wire.to_json()
    }
}

/// The claims of an access token that is being made, borrowed from what it is made of; those that are absent are left out.
#[derive(Serialize)]
pub(crate) struct WireClaims<'a> {
    pub(crate) iss: &'a str,
    pub(crate) sub: &'a str,
    pub(crate) aud: Audience<'a>,
    pub(crate) exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<u64>,
    pub(crate) iat: u64,
    pub(crate) jti: &'a str,
    pub(crate) client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amr: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<Actor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state_epoch: Option<NonZero<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_epoch: Option<NonZero<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) own_iat: Option<u64>,
}

impl WireClaims<'_> {
    pub(crate) fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists: it cannot fail, and nobody accepts an empty payload.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// `aud` as it is written: one audience stands alone (RFC 7519 §4.1.3).
pub(crate) struct Audience<'a>(Vec<&'a str>);

impl<'a> FromIterator<&'a str> for Audience<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(audiences: I) -> Self {
        Self(audiences.into_iter().collect())
    }
}

impl Serialize for Audience<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [one] => serializer.serialize_str(one),
            several => serializer.collect_seq(several),
        }
    }
}

/// `act` as it is written (RFC 8693 §4.1).
#[derive(Serialize)]
pub(crate) struct Actor<'a> {
    pub(crate) sub: &'a str,
}

/// An access token taken apart, which nobody has verified yet.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub struct UnverifiedToken {
    jws: Compact,
    claims: Result<Claims, ClaimError>,
}

impl UnverifiedToken {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// As [`Compact::parse`].
    pub fn parse(text: &str) -> Result<Self, JwsError> {
        let jws = Compact::parse(text)?;
        Ok(Self { claims: Claims::parse(jws.unverified_payload()), jws })
    }

    /// Returns the names in it.
    ///
    /// # Errors
    /// [`ClaimError::Malformed`].
    pub fn names(&self) -> Result<Names<'_>, ClaimError> {
        let claims = self.claims.as_ref().map_err(|error| *error)?;
        Ok(Names {
            sub: claims.text("sub")?,
            client_id: claims.text("client_id")?,
            jti: claims.text("jti")?,
            sid: claims.optional_text("sid")?,
            act: claims.actor()?,
        })
    }

    /// Its type and claims, once one of `keys` has verified it.
    ///
    /// # Errors
    /// [`TokenError`], its times, issuer and audience apart.
    pub fn verify(&self, keys: &KeySet) -> Result<(TokenType, AccessClaims), TokenError> {
        let verified = keys.verify(&self.jws).map_err(TokenError::Jws)?;
        let claims = self.claims.as_ref().map_err(|error| TokenError::Claims(*error))?;
        AccessClaims::of(verified.token_type(), claims).map_err(TokenError::Claims)
    }
}

/// The names in a token that nobody has verified. They are good for looking up, and for nothing else.
#[derive(Debug)]
pub struct Names<'a> {
    /// `sub`
    pub sub: &'a str,
    /// `client_id`
    pub client_id: &'a str,
    /// `jti`
    pub jti: &'a str,
    /// `sid`
    pub sid: Option<&'a str>,
    /// `act.sub`
    pub act: Option<&'a str>,
}

/// The reason why an access token was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It is not a JWS that one of the keys signed.
    Jws(JwsError),
    /// Its claims are malformed, not ours, or out of time.
    Claims(ClaimError),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jws(error) => error.fmt(f),
            Self::Claims(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for TokenError {}

/// A payload's members. Malformed is never absent.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, ClaimError> {
        parse_object(payload).map(Self).map_err(|_| ClaimError::Malformed("payload"))
    }

    fn optional_text(&self, name: &'static str) -> Result<Option<&str>, ClaimError> {
        self.0.get(name).map(|value| value.as_str().ok_or(ClaimError::Malformed(name))).transpose()
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<&str, ClaimError> {
        self.optional_text(name)?.filter(|text| !text.is_empty()).ok_or(ClaimError::Malformed(name))
    }

    /// A whole number; a float, a text or a negative one is refused.
    fn number(&self, name: &'static str) -> Result<Option<u64>, ClaimError> {
        self.0.get(name).map(|value| value.as_u64().ok_or(ClaimError::Malformed(name))).transpose()
    }

    /// A whole number of seconds that RFC 3339 can name.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<Time>, ClaimError> {
        let Some(seconds) = self.number(name)? else { return Ok(None) };
        let time = Time::from_unix(seconds);
        if time.unix() == seconds { Ok(Some(time)) } else { Err(ClaimError::Malformed(name)) }
    }

    fn texts(&self, name: &'static str) -> Result<Option<Vec<String>>, ClaimError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let listed = value.as_array().ok_or(ClaimError::Malformed(name))?;
        let texts: Option<Vec<String>> = listed.iter().map(|t| t.as_str().map(ToOwned::to_owned)).collect();
        texts.map(Some).ok_or(ClaimError::Malformed(name))
    }

    /// `aud` where it is one text, and no list.
    pub(crate) fn one_audience(&self) -> Option<&str> {
        self.0.get("aud").and_then(Value::as_str)
    }

    /// One text, or a list of at least one (RFC 7519 §4.1.3).
    fn audience(&self) -> Result<Vec<String>, ClaimError> {
        if let Some(Value::String(one)) = self.0.get("aud") {
            return Ok(alloc::vec![one.clone()]);
        }
        self.texts("aud")?.filter(|audiences| !audiences.is_empty()).ok_or(ClaimError::Malformed("aud"))
    }

    /// `act` with its `sub` and no deeper chain.
    fn actor(&self) -> Result<Option<&str>, ClaimError> {
        let Some(value) = self.0.get("act") else { return Ok(None) };
        match value.as_object().map(|act| (act.len(), act.get("sub").and_then(Value::as_str))) {
            Some((1, Some(sub))) if !sub.is_empty() => Ok(Some(sub)),
            _ => Err(ClaimError::Malformed("act")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::key::SigningKey;
    use alloc::{format, vec};

    const ISSUER: &str = "https://gate.example";

    fn claims() -> AccessClaims {
        AccessClaims {
            iss: ISSUER.into(),
            sub: "usr_1".into(),
            aud: vec![ISSUER.into(), "portal".into()],
            exp: Time::from_unix(2_000),
            iat: Time::from_unix(1_000),
            nbf: None,
            jti: "j".into(),
            client_id: "portal".into(),
            scope: Some("profile".into()),
            auth_time: Some(Time::from_unix(1_000)),
            amr: Some(vec!["ticket".into()]),
            sid: Some("ses_1".into()),
            act: Some("usr_2".into()),
            state_epoch: 0,
            client_epoch: 0,
            own_iat: None,
        }
    }

    fn read(token_type: &str, payload: &str) -> Result<AccessClaims, ClaimError> {
        let key =
            SigningKey::from_jwk(br#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#, None)
                .unwrap();
        let token = key.sign(token_type, payload.as_bytes()).unwrap();
        let jws = Compact::parse(&token).unwrap();
        AccessClaims::parse(&key.verifying_key().unwrap().verify(&jws).unwrap())
    }

    #[test]
    fn claims_survive_the_wire() {
        for claims in [
            claims(),
            AccessClaims { aud: vec![ISSUER.into()], nbf: Some(Time::from_unix(5)), ..claims() },
            AccessClaims { scope: None, auth_time: None, amr: None, sid: None, act: None, ..claims() },
            AccessClaims { state_epoch: 1, ..claims() },
            AccessClaims { state_epoch: u64::MAX, ..claims() },
            AccessClaims { state_epoch: 1, client_epoch: 1 << 52, ..claims() },
        ] {
            let json = String::from_utf8(claims.to_json()).unwrap();
            assert_eq!(read("at+jwt", &json), Ok(claims.clone()), "{json}");
            assert_eq!(read("application/AT+JWT", &json), Ok(claims));
        }
    }

    #[test]
    fn a_state_epoch_that_is_0_is_not_written_and_absent_is_0() {
        let json = String::from_utf8(claims().to_json()).unwrap();
        assert!(!json.contains("state_epoch"), "{json}");
        assert_eq!(read("at+jwt", &json).unwrap().state_epoch, 0);
        let json = String::from_utf8(AccessClaims { state_epoch: 7, ..claims() }.to_json()).unwrap();
        assert!(json.ends_with(",\"state_epoch\":7}"), "{json}");
        let explicit = json.replace(":7}", ":0}");
        assert_eq!(read("at+jwt", &explicit).unwrap().state_epoch, 0);
        let both = AccessClaims { state_epoch: 7, client_epoch: 8, ..claims() }.to_json();
        let both = String::from_utf8(both).unwrap();
        assert!(both.ends_with(",\"state_epoch\":7,\"client_epoch\":8}"), "{both}");
    }

    #[test]
    fn another_kind_of_token_is_no_access_token() {
        let json = String::from_utf8(claims().to_json()).unwrap();
        for token_type in ["", "JWT", "at+jwt ", "at", "logout+jwt", "application/jwt"] {
            assert_eq!(read(token_type, &json), Err(ClaimError::WrongType), "{token_type}");
        }
        for token_type in ["restricted+jwt", "application/Restricted+JWT"] {
            assert_eq!(read(token_type, &json), Err(ClaimError::Restricted), "{token_type}");
        }
    }

    #[test]
    fn malformed_is_never_absent() {
        for (name, values) in [
            ("iss", &["null", "1", "\"\"", "[]"][..]),
            ("sub", &["null", "\"\"", "{}"]),
            ("aud", &["null", "[]", "[1]", "{}", "7"]),
            ("exp", &["null", "\"2000\"", "2000.0", "2e3", "-1", "1e99", "253402300800", "[]"]),
            ("iat", &["null", "\"1000\"", "1000.5", "-1"]),
            ("nbf", &["null", "\"1\"", "-1", "1.5"]),
            ("jti", &["null", "5", "\"\""]),
            ("client_id", &["null", "\"\"", "[]"]),
            ("scope", &["null", "[]", "1"]),
            ("auth_time", &["null", "\"1\"", "-3"]),
            ("amr", &["null", "\"pwd\"", "[1]"]),
            ("sid", &["null", "1"]),
            ("own_iat", &["null", "\"1000\"", "1000.5", "-1", "253402300800"]),
            (
                "state_epoch",
                &["null", "\"1\"", "1.0", "1e0", "-1", "-0", "18446744073709551616", "[1]", "{}", "true"],
            ),
            ("client_epoch", &["null", "\"1\"", "1.0", "-1", "18446744073709551616", "[1]"]),
            (
                "act",
                &["null", "\"usr_2\"", "{}", "{\"sub\":\"\"}", "{\"sub\":\"a\",\"act\":{\"sub\":\"b\"}}"],
            ),
        ] {
            for value in values {
                let mut members = serde_json::from_slice::<Map<String, Value>>(&claims().to_json()).unwrap();
                members.remove(name);
                let rest = serde_json::to_string(&members).unwrap();
                let json = format!("{{\"{name}\":{value},{}", &rest[1..]);
                let refused = read("at+jwt", &json);
                assert!(
                    refused == Err(ClaimError::Malformed(name))
                        || refused == Err(ClaimError::Malformed("payload")),
                    "{name}: {value} was read as {refused:?}"
                );
            }
        }
        for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"] {
            let mut members = serde_json::from_slice::<Map<String, Value>>(&claims().to_json()).unwrap();
            members.remove(name);
            let json = serde_json::to_string(&members).unwrap();
            assert_eq!(read("at+jwt", &json), Err(ClaimError::Malformed(name)));
        }
    }

    #[test]
    fn ours_for_us_and_in_time() {
        let at = |seconds| Time::from_unix(seconds);
        let with_nbf = AccessClaims { nbf: Some(at(1_500)), ..claims() };
        let own = |issued| AccessClaims { own_iat: Some(at(issued)), ..claims() };
        let no_life = AccessClaims { exp: at(1_000), ..own(1_050) };
        for (claims, issuer, now, verdict) in [
            (claims(), ISSUER, 1_000, Ok(())),
            (claims(), ISSUER, 1_999, Ok(())),
            (claims(), ISSUER, 2_000, Err(ClaimError::Expired { at: at(2_000), now: at(2_000) })),
            (claims(), ISSUER, 940, Ok(())),
            (claims(), ISSUER, 939, Err(ClaimError::NotYet { from: at(1_000), now: at(939) })),
            (with_nbf.clone(), ISSUER, 1_439, Err(ClaimError::NotYet { from: at(1_500), now: at(1_439) })),
            (with_nbf, ISSUER, 1_440, Ok(())),
            // The wall clock was ahead of our own time, or behind.
            (own(200), ISSUER, 200, Ok(())),
            (own(200), ISSUER, 1_199, Ok(())),
            (own(200), ISSUER, 1_200, Err(ClaimError::Expired { at: at(1_200), now: at(1_200) })),
            (own(200), ISSUER, 139, Err(ClaimError::NotYet { from: at(200), now: at(139) })),
            (own(9_000), ISSUER, 9_999, Ok(())),
            (own(9_000), ISSUER, 10_000, Err(ClaimError::Expired { at: at(10_000), now: at(10_000) })),
            (own(9_000), ISSUER, 1_500, Err(ClaimError::NotYet { from: at(9_000), now: at(1_500) })),
            // No lifetime at all.
            (no_life, ISSUER, 999, Err(ClaimError::Expired { at: at(1_050), now: at(999) })),
            (claims(), "https://gate.example/", 1_000, Err(ClaimError::WrongIssuer)),
            (
                AccessClaims { aud: vec!["portal".into()], ..claims() },
                ISSUER,
                1_000,
                Err(ClaimError::WrongAudience),
            ),
        ] {
            assert_eq!(claims.check(issuer, at(now)), verdict);
        }
    }
}
