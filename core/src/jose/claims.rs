//! The claims of an access token (RFC 9068 §2.2), and nothing that can be mistaken for them.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::jws::{Compact, VerifiedJws};
use crate::time::Time;
use crate::wire::json::parse_object;

/// How far ahead of our clock a token's `iat` may lie, in seconds: two servers share one file, not one clock.
pub const MAX_AHEAD: u64 = 60;

/// The claims of an access token. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// Who issued it.
    pub iss: String,
    /// Who it speaks for.
    pub sub: String,
    /// Who it is meant for; never empty.
    pub aud: Vec<String>,
    /// From when on it is refused.
    pub exp: Time,
    /// When it was issued.
    pub iat: Time,
    /// Until when it is refused.
    pub nbf: Option<Time>,
    /// Its own identifier.
    pub jti: String,
    /// The client it was issued to.
    pub client_id: String,
    /// What it allows.
    pub scope: Option<String>,
    /// When the person signed in.
    pub auth_time: Option<Time>,
    /// How the person signed in (RFC 8176).
    pub amr: Option<Vec<String>>,
    /// The person's session; a service's token has none.
    pub sid: Option<String>,
    /// Who acts as the subject: `act.sub` (RFC 8693 §4.1).
    pub act: Option<String>,
}

/// What is wrong with the claims of a token that one of our keys signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// `typ` is not `at+jwt`: another kind of token.
    WrongType,
    /// The named claim is absent, or not of its type.
    Malformed(&'static str),
    /// `iss` is not this server.
    WrongIssuer,
    /// `aud` does not hold this server.
    WrongAudience,
    /// It expired.
    Expired {
        /// When it expired.
        at: Time,
        /// What the time was.
        now: Time,
    },
    /// `nbf` or `iat` lies ahead.
    NotYet {
        /// From when on it is good.
        from: Time,
        /// What the time was.
        now: Time,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongType => f.write_str("the token is not an access token: its typ is not at+jwt"),
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
    /// [`ClaimError::WrongType`] or [`ClaimError::Malformed`].
    pub fn parse(jws: &VerifiedJws<'_>) -> Result<Self, ClaimError> {
        // RFC 9068 §4, RFC 7515 §4.1.9: with or without `application/`, in any case.
        let token_type = jws.token_type().ok_or(ClaimError::WrongType)?;
        if !["at+jwt", "application/at+jwt"].iter().any(|t| t.eq_ignore_ascii_case(token_type)) {
            return Err(ClaimError::WrongType);
        }
        let claims = Claims::parse(jws.payload())?;
        Ok(Self {
            iss: claims.text("iss")?,
            sub: claims.text("sub")?,
            aud: claims.audience()?,
            exp: claims.time("exp")?.ok_or(ClaimError::Malformed("exp"))?,
            iat: claims.time("iat")?.ok_or(ClaimError::Malformed("iat"))?,
            nbf: claims.time("nbf")?,
            jti: claims.text("jti")?,
            client_id: claims.text("client_id")?,
            scope: claims.optional_text("scope")?,
            auth_time: claims.time("auth_time")?,
            amr: claims.texts("amr")?,
            sid: claims.optional_text("sid")?,
            act: claims.actor()?,
        })
    }

    /// Whether the token is ours, for us, and in time. There is no leeway for `exp` and `nbf`; `iat` may lie
    /// [`MAX_AHEAD`] seconds ahead.
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
        if now >= self.exp {
            return Err(ClaimError::Expired { at: self.exp, now });
        }
        match self.nbf {
            Some(from) if now < from => Err(ClaimError::NotYet { from, now }),
            Some(_) | None if now.plus(MAX_AHEAD) < self.iat => {
                Err(ClaimError::NotYet { from: self.iat, now })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The claims as JSON, those that are absent left out; one audience stands alone, several in an array.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Audience<'a> {
            One(&'a str),
            Several(&'a [String]),
        }
        #[derive(Serialize)]
        struct Actor<'a> {
            sub: &'a str,
        }
        #[derive(Serialize)]
        struct Wire<'a> {
            iss: &'a str,
            sub: &'a str,
            aud: Audience<'a>,
            exp: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            nbf: Option<u64>,
            iat: u64,
            jti: &'a str,
            client_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            scope: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            auth_time: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            amr: Option<&'a [String]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            sid: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            act: Option<Actor<'a>>,
        }
        let wire = Wire {
            iss: &self.iss,
            sub: &self.sub,
            aud: match self.aud.as_slice() {
                [one] => Audience::One(one),
                several => Audience::Several(several),
            },
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
        };
        // Strings, numbers and lists: it cannot fail, and nobody accepts an empty payload.
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

/// Whom a token names that nobody has verified: good for looking up, and for nothing else.
#[derive(Debug)]
pub struct UnverifiedClaims {
    /// `sub`
    pub sub: String,
    /// `client_id`
    pub client_id: String,
    /// `sid`
    pub sid: Option<String>,
    /// `act.sub`
    pub act: Option<String>,
}

impl UnverifiedClaims {
    /// Reads them.
    ///
    /// # Errors
    /// [`ClaimError::Malformed`].
    pub fn parse(jws: &Compact<'_>) -> Result<Self, ClaimError> {
        let claims = Claims::parse(jws.unverified_payload())?;
        Ok(Self {
            sub: claims.text("sub")?,
            client_id: claims.text("client_id")?,
            sid: claims.optional_text("sid")?,
            act: claims.actor()?,
        })
    }
}

/// A payload's members. Malformed is never absent.
struct Claims(Map<String, Value>);

impl Claims {
    fn parse(payload: &[u8]) -> Result<Self, ClaimError> {
        parse_object(payload).map(Self).map_err(|_| ClaimError::Malformed("payload"))
    }

    fn optional_text(&self, name: &'static str) -> Result<Option<String>, ClaimError> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned).ok_or(ClaimError::Malformed(name));
        self.0.get(name).map(text).transpose()
    }

    fn text(&self, name: &'static str) -> Result<String, ClaimError> {
        self.optional_text(name)?.filter(|text| !text.is_empty()).ok_or(ClaimError::Malformed(name))
    }

    /// A whole number of seconds that RFC 3339 can name; a float, a text or a negative one is refused.
    fn time(&self, name: &'static str) -> Result<Option<Time>, ClaimError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_u64().ok_or(ClaimError::Malformed(name))?;
        let time = Time::from_unix(seconds);
        if time.unix() == seconds { Ok(Some(time)) } else { Err(ClaimError::Malformed(name)) }
    }

    fn texts(&self, name: &'static str) -> Result<Option<Vec<String>>, ClaimError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let listed = value.as_array().ok_or(ClaimError::Malformed(name))?;
        let texts: Option<Vec<String>> = listed.iter().map(|t| t.as_str().map(ToOwned::to_owned)).collect();
        texts.map(Some).ok_or(ClaimError::Malformed(name))
    }

    /// One text, or a list of at least one (RFC 7519 §4.1.3).
    fn audience(&self) -> Result<Vec<String>, ClaimError> {
        if let Some(Value::String(one)) = self.0.get("aud") {
            return Ok(alloc::vec![one.clone()]);
        }
        self.texts("aud")?.filter(|audiences| !audiences.is_empty()).ok_or(ClaimError::Malformed("aud"))
    }

    /// `act` with its `sub` and no deeper chain.
    fn actor(&self) -> Result<Option<String>, ClaimError> {
        let Some(value) = self.0.get("act") else { return Ok(None) };
        match value.as_object().map(|act| (act.len(), act.get("sub").and_then(Value::as_str))) {
            Some((1, Some(sub))) if !sub.is_empty() => Ok(Some(sub.to_owned())),
            _ => Err(ClaimError::Malformed("act")),
        }
    }
}
