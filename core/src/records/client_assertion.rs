//! An assertion by which a client authenticates: a JWT about itself that it signed (RFC 7523 §3, and its update), good once.

use alloc::string::String;
use core::fmt;

use crate::base::secret::SecretText;
use crate::base::time::{Clocks, LEEWAY, Time};
use crate::crypto::sha256;
use crate::jose::claims::{Claims, is_token_type};
use crate::jose::jws::{Compact, JwsError};
use crate::records::client_key::ClientKey;
use crate::records::id::ClientId;

/// The `typ` of an assertion, where it has one.
const TYPE: &str = "client-authentication+jwt";

/// SHA-256 over a client and the `jti` of an assertion of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssertionDigest(pub [u8; 32]);

/// An assertion whose claims are good. Nobody has verified its signature yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAssertion {
    client: ClientId,
    text: SecretText,
    used: UsedAssertion,
}

/// The one use of an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedAssertion {
    /// The assertion.
    pub digest: AssertionDigest,
    /// The time from which it is refused anyway. Afterwards it need not be remembered.
    pub expires_at: Time,
}

/// The reason why a text is no assertion that could be good, whatever its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssertionError {
    /// It is not a JWS.
    Jws(JwsError),
    /// It is signed with a shared secret.
    Symmetric,
    /// `typ` is neither absent nor `client-authentication+jwt`.
    WrongType,
    /// The named claim is absent, or not of its type.
    Malformed(&'static str),
    /// `iss` and `sub` are not one and the same client id.
    NotAboutItself,
    /// `aud` is not the issuer alone.
    WrongAudience {
        /// The issuer.
        issuer: String,
    },
    /// It has expired, or was made more than [`ClientAssertion::MAX_AGE`] seconds ago.
    TooOld {
        /// The time from which it is refused.
        end: Time,
        /// The time of the check.
        now: Time,
    },
    /// `iat` or `nbf` lies ahead.
    NotYet {
        /// The time from which it is good.
        from: Time,
        /// The time of the check.
        now: Time,
    },
    /// It does not say when it was made, and expires more than [`ClientAssertion::MAX_LIFE`] seconds ahead.
    TooLong,
}

impl fmt::Display for AssertionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client assertion is refused: ")?;
        match self {
            Self::Jws(JwsError::TooLong) => f.write_str("it is longer than 16 KiB"),
            Self::Jws(JwsError::UnsupportedAlgorithm) => {
                f.write_str("its alg is not one that is served here")
            }
            Self::Jws(JwsError::ForbiddenHeader) => {
                f.write_str("its header asks for an extension or brings its own key")
            }
            Self::Jws(JwsError::Malformed | JwsError::NoKey | JwsError::BadSignature) => {
                f.write_str("it is no compact JWS")
            }
            Self::Symmetric => f.write_str("its alg is one of shared secrets, a private key has to sign it"),
            Self::WrongType => write!(f, "its typ is neither absent nor {TYPE}"),
            Self::Malformed(claim) => write!(f, "its {claim} is absent or malformed"),
            Self::NotAboutItself => f.write_str("its iss and sub are not both the client_id"),
            Self::WrongAudience { issuer } => write!(f, "its aud is not the text {issuer} alone"),
            Self::TooOld { end, now } => write!(f, "it was good until {end} and it is {now}"),
            Self::NotYet { from, now } => write!(f, "it is good from {from} on and it is {now}"),
            Self::TooLong => write!(
                f,
                "it has no iat, and its exp lies more than {} seconds ahead",
                ClientAssertion::MAX_LIFE
            ),
        }
    }
}

impl core::error::Error for AssertionError {}

impl ClientAssertion {
    /// The greatest age of an assertion that says when it was made, in seconds.
    pub const MAX_AGE: u64 = LEEWAY;
    /// The longest remaining life of one that does not say, in seconds.
    pub const MAX_LIFE: u64 = 300;

    /// Reads an assertion that is presented to `issuer`. Its times are by the wall clock, which its client's clock agrees with.
    ///
    /// # Errors
    /// [`AssertionError`] says what is wrong with it, the signature apart.
    pub fn read(text: SecretText, issuer: &str, clocks: Clocks) -> Result<Self, AssertionError> {
        let jws = Compact::parse(text.expose()).map_err(AssertionError::Jws)?;
        if !jws.algorithm().is_asymmetric() {
            return Err(AssertionError::Symmetric);
        }
        if jws.unverified_type().is_some_and(|token_type| !is_token_type(token_type, TYPE)) {
            return Err(AssertionError::WrongType);
        }
        let malformed = |claim| move |_| AssertionError::Malformed(claim);
        let claims = Claims::parse(jws.unverified_payload()).map_err(malformed("payload"))?;
        let text_of = |claim| claims.text(claim).map_err(malformed(claim));
        let time_of = |claim| claims.time(claim).map_err(malformed(claim));
        let (iss, sub, jti) = (text_of("iss")?, text_of("sub")?, text_of("jti")?);
        let client =
            ClientId::parse(sub).ok().filter(|_| iss == sub).ok_or(AssertionError::NotAboutItself)?;
        if claims.one_audience() != Some(issuer) {
            return Err(AssertionError::WrongAudience { issuer: issuer.into() });
        }
        let exp = time_of("exp")?.ok_or(AssertionError::Malformed("exp"))?;
        let (iat, nbf) = (time_of("iat")?, time_of("nbf")?);
        let now = clocks.wall;
        if let Some(from) = iat.max(nbf).filter(|from| from.is_ahead_of(now)) {
            return Err(AssertionError::NotYet { from, now });
        }
        // The second that is as old as may be still counts.
        let end = iat.map_or(exp, |iat| exp.min(iat.plus(Self::MAX_AGE + 1)));
        if now >= end {
            return Err(AssertionError::TooOld { end, now });
        }
        let left = now.until(end);
        if iat.is_none() && left > Self::MAX_LIFE {
            return Err(AssertionError::TooLong);
        }
        let digest = AssertionDigest(sha256(&[sub.as_bytes(), b"\0", jti.as_bytes()].concat()));
        let used = UsedAssertion { digest, expires_at: clocks.now.plus(left) };
        Ok(Self { client, text, used })
    }

    /// Returns the client that it says it is of.
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// Returns the digest by which its use is remembered.
    pub(crate) const fn digest(&self) -> AssertionDigest {
        self.used.digest
    }

    /// Returns its use, if one of `keys` verifies it.
    pub(crate) fn verify(&self, keys: &[ClientKey]) -> Option<UsedAssertion> {
        let jws = Compact::parse(self.text.expose()).ok()?;
        ClientKey::verify_by_one_of(keys, &jws).then_some(self.used)
    }
}
