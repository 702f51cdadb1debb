//! Compact JWS (RFC 7515 §7.1), read strictly.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::fmt;

use serde_json::{Map, Value};

use crate::base::base64url::decode;
use crate::base::json::parse_object;
use crate::base::secret::SecretBytes;
use crate::crypto::algorithm::Algorithm;

/// The longest compact JWS that is read, in bytes. An access token of ours is about a tenth of it.
pub const MAX_BYTES: usize = 16 * 1024;

/// The reason why a text is not a JWS that one of our keys signed. It repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwsError {
    /// Longer than [`MAX_BYTES`].
    TooLong,
    /// Not three segments of strict base64url, or the header is not one strict JSON object with one meaning.
    Malformed,
    /// `alg` is `none`, absent, or not implemented.
    UnsupportedAlgorithm,
    /// The header asks for an extension (`crit`, `b64`), or brings a key of its own (`jku`, `jwk`, `x5u`, `x5c`).
    ForbiddenHeader,
    /// No key has this `kid` and algorithm.
    NoKey,
    /// The signature does not fit.
    BadSignature,
}

impl fmt::Display for JwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the token is longer than 16 KiB",
            Self::Malformed => "the token is not a compact JWS",
            Self::UnsupportedAlgorithm => "the token's algorithm is not one that is served here",
            Self::ForbiddenHeader => "the token's header asks for an extension or brings its own key",
            Self::NoKey => "the token was signed by a key that is not, or no longer, known here",
            Self::BadSignature => "the token's signature does not fit",
        })
    }
}

impl core::error::Error for JwsError {}

/// Header parameters that are refused: extensions that would have to be understood (RFC 7515 §4.1.11, RFC 7797), and
/// keys that a token brings along (RFC 8725 §3.10).
const FORBIDDEN: [&str; 6] = ["crit", "b64", "jku", "jwk", "x5u", "x5c"];

/// A compact JWS, taken apart and not verified.
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub struct Compact {
    signing_input: String,
    algorithm: Algorithm,
    key_id: Option<String>,
    token_type: Option<String>,
    payload: Vec<u8>,
    signature: SecretBytes,
}

impl fmt::Debug for Compact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compact").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Compact {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// [`JwsError`], all but [`JwsError::NoKey`] and [`JwsError::BadSignature`].
    pub fn parse(text: &str) -> Result<Self, JwsError> {
        if text.len() > MAX_BYTES {
            return Err(JwsError::TooLong);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Malformed)?;
        let bytes = |segment: &str| decode(segment).ok_or(JwsError::Malformed);
        // A second dot in the middle is no base64url, so there are exactly three segments.
        let (header, payload, signature) = (bytes(header)?, bytes(payload)?, bytes(signature)?);
        let header = parse_object(&header).map_err(|_| JwsError::Malformed)?;
        if FORBIDDEN.iter().any(|name| header.contains_key(*name)) {
            return Err(JwsError::ForbiddenHeader);
        }
        let algorithm = text_member(&header, "alg")?.ok_or(JwsError::UnsupportedAlgorithm)?;
        Ok(Self {
            algorithm: Algorithm::parse(&algorithm).ok_or(JwsError::UnsupportedAlgorithm)?,
            key_id: text_member(&header, "kid")?,
            token_type: text_member(&header, "typ")?,
            signing_input: signing_input.to_owned(),
            payload,
            signature: SecretBytes::new(signature),
        })
    }

    /// Returns the algorithm that the header names. It selects among keys; it never decides.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` of the header.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The `typ` of the header, which nobody has vouched for.
    pub(crate) fn unverified_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }

    /// The payload, which nobody has vouched for.
    pub(crate) fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn signing_input(&self) -> &str {
        &self.signing_input
    }

    pub(crate) fn signature(&self) -> &[u8] {
        self.signature.expose()
    }

    /// The proof that a key has verified it.
    pub(super) fn verified(&self) -> VerifiedJws<'_> {
        VerifiedJws { token_type: self.token_type.as_deref(), payload: &self.payload }
    }
}

/// Proof that a key of ours signed this payload. Only [`VerifyingKey`](crate::jose::key::VerifyingKey) and
/// [`KeySet`](crate::jose::key::KeySet) make one.
#[derive(Debug)]
pub struct VerifiedJws<'a> {
    token_type: Option<&'a str>,
    payload: &'a [u8],
}

impl VerifiedJws<'_> {
    /// The payload.
    pub const fn payload(&self) -> &[u8] {
        self.payload
    }

    /// The `typ` of the header.
    pub const fn token_type(&self) -> Option<&str> {
        self.token_type
    }
}

fn text_member(header: &Map<String, Value>, name: &str) -> Result<Option<String>, JwsError> {
    header.get(name).map(|value| value.as_str().map(ToOwned::to_owned).ok_or(JwsError::Malformed)).transpose()
}
