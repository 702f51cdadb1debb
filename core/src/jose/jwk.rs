//! JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2), read strictly, and their thumbprints (RFC 7638).

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::base::base64url::{decode, encode};
use crate::base::json::parse_object;
use crate::crypto::algorithm::{Algorithm, KeyType};
use crate::crypto::{Private, Public, sha256};
use crate::jose::spki::{PublicNumbers, to_pem};

/// The reason why a text is not a key that can be used. It repeats nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwkError {
    /// Not one strict JSON object, or a member of the wrong type.
    Malformed,
    /// `kty` or `crv` is not one that is implemented.
    UnsupportedType,
    /// A number is missing, or is not strict base64url.
    BadNumber,
    /// A private key is needed, and this one is public.
    NotPrivate,
    /// The key's type, `alg`, `use` or `key_ops` does not allow what is asked of it.
    NotForThis,
    /// The backend does not accept it: too short or too long, or numbers that do not belong together.
    Rejected,
    /// Two keys of the set have one `kid`.
    Ambiguous,
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a JWK: one JSON object with every member once",
            Self::UnsupportedType => "the key type is not served here: use RSA, P-256, P-384, Ed25519 or oct",
            Self::BadNumber => "a number of the key is missing or is not base64url without padding",
            Self::NotPrivate => "the key is public: a private one is needed to sign",
            Self::NotForThis => "the key's type, alg, use or key_ops does not allow this algorithm and use",
            Self::Rejected => {
                "the key is not sound: RSA signs with 2048, 3072 or 4096 bits and an exponent from 65537, a shared secret \
                 is at least as long as its hash, and the halves of a pair must belong together"
            }
            Self::Ambiguous => "two keys of the set have the same kid",
        })
    }
}

impl core::error::Error for JwkError {}

type Octets = Zeroizing<Vec<u8>>;

/// A JWK: public, private or shared.
pub struct Jwk {
    numbers: Numbers,
    key_id: Option<String>,
    algorithm: Option<String>,
    usage: Option<String>,
    operations: Option<Vec<String>>,
}

enum Numbers {
    Octets(Octets),
    Rsa { n: Vec<u8>, e: Vec<u8>, private: Option<RsaPrivate> },
    Ec { key_type: KeyType, x: Vec<u8>, y: Vec<u8>, d: Option<Octets> },
    Okp { x: Vec<u8>, d: Option<Octets> },
}

/// The private numbers of an RSA key with two primes, big-endian (RFC 7518 §6.3.2).
pub struct RsaPrivate {
    /// The private exponent.
    pub d: Octets,
    /// The first prime.
    pub p: Octets,
    /// The second prime.
    pub q: Octets,
    /// `d mod (p - 1)`
    pub dp: Octets,
    /// `d mod (q - 1)`
    pub dq: Octets,
    /// `q⁻¹ mod p`
    pub qi: Octets,
}

impl Jwk {
    /// Reads a JWK.
    ///
    /// # Errors
    /// [`JwkError::Malformed`], [`JwkError::UnsupportedType`] or [`JwkError::BadNumber`].
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        Self::read(&parse_object(json).map_err(|_| JwkError::Malformed)?)
    }

    /// Reads a JWK set (RFC 7517 §5). Keys of a type that is not implemented are passed over.
    ///
    /// # Errors
    /// As [`Jwk::parse`], and [`JwkError::Ambiguous`] where two keys have one `kid`.
    pub fn parse_set(json: &[u8]) -> Result<Vec<Self>, JwkError> {
        let set = parse_object(json).map_err(|_| JwkError::Malformed)?;
        let members = set.get("keys").and_then(Value::as_array).ok_or(JwkError::Malformed)?;
        let mut keys: Vec<Self> = Vec::new();
        for member in members {
            match Self::read(member.as_object().ok_or(JwkError::Malformed)?) {
                Ok(key) if key.key_id.is_some() && keys.iter().any(|k| k.key_id == key.key_id) => {
                    return Err(JwkError::Ambiguous);
                }
                Ok(key) => keys.push(key),
                Err(JwkError::UnsupportedType) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(keys)
    }

    /// A shared secret.
    pub fn from_octets(octets: &[u8]) -> Self {
        Self::bare(Numbers::Octets(octets.to_vec().into()))
    }

    /// An RSA pair.
    pub fn from_rsa(n: Vec<u8>, e: Vec<u8>, private: RsaPrivate) -> Self {
        Self::bare(Numbers::Rsa { n, e, private: Some(private) })
    }

    /// A pair on P-256 or P-384: the scalar, and the uncompressed point (SEC 1 §2.3.3).
    ///
    /// # Errors
    /// [`JwkError::UnsupportedType`] where the point is of neither curve's length or compressed.
    pub fn from_ec(d: &[u8], point: &[u8]) -> Result<Self, JwkError> {
        let (tag, coordinates) = point.split_first().ok_or(JwkError::UnsupportedType)?;
        let (key_type, length) = match (tag, coordinates.len()) {
            (4, 64) => (KeyType::P256, 32),
            (4, 96) => (KeyType::P384, 48),
            _ => return Err(JwkError::UnsupportedType),
        };
        let (x, y) = coordinates.split_at_checked(length).ok_or(JwkError::UnsupportedType)?;
        let d = Some(d.to_vec().into());
        Ok(Self::bare(Numbers::Ec { key_type, x: x.to_vec(), y: y.to_vec(), d }))
    }

    /// An Ed25519 pair, from its seed.
    ///
    /// # Errors
    /// [`JwkError::Rejected`] where the seed is not 32 bytes.
    pub fn from_ed25519_seed(seed: &[u8]) -> Result<Self, JwkError> {
        let x = crate::crypto::ed25519_public(seed).map_err(|_| JwkError::Rejected)?;
        Ok(Self::bare(Numbers::Okp { x, d: Some(seed.to_vec().into()) }))
    }

    const fn bare(numbers: Numbers) -> Self {
        Self { numbers, key_id: None, algorithm: None, usage: None, operations: None }
    }

    pub(crate) fn read(members: &Map<String, Value>) -> Result<Self, JwkError> {
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(JwkError::Malformed),
        };
        let owned = |name: &str| text(name).map(|t| t.map(ToOwned::to_owned));
        let number = |name: &str| -> Result<Option<Octets>, JwkError> {
            let Some(encoded) = text(name)? else { return Ok(None) };
            let bytes = decode(encoded).filter(|bytes| !bytes.is_empty()).ok_or(JwkError::BadNumber)?;
            Ok(Some(bytes.into()))
        };
        let needed = |name: &str| number(name)?.ok_or(JwkError::BadNumber);
        let public = |name: &str| needed(name).map(|n| n.to_vec());
        let curve = text("crv")?;
        let numbers = match text("kty")?.ok_or(JwkError::Malformed)? {
            "oct" => Numbers::Octets(needed("k")?),
            "RSA" if members.contains_key("oth") => return Err(JwkError::UnsupportedType),
            "RSA" => {
                let private = match number("d")? {
                    None => None,
                    Some(d) => Some(RsaPrivate {
                        d,
                        p: needed("p")?,
                        q: needed("q")?,
                        dp: needed("dp")?,
                        dq: needed("dq")?,
                        qi: needed("qi")?,
                    }),
                };
                Numbers::Rsa { n: public("n")?, e: public("e")?, private }
            }
            "EC" => {
                let key_type = match curve {
                    Some("P-256") => KeyType::P256,
                    Some("P-384") => KeyType::P384,
                    Some(_) => return Err(JwkError::UnsupportedType),
                    None => return Err(JwkError::Malformed),
                };
                Numbers::Ec { key_type, x: public("x")?, y: public("y")?, d: number("d")? }
            }
            "OKP" if curve == Some("Ed25519") => Numbers::Okp { x: public("x")?, d: number("d")? },
            _ => return Err(JwkError::UnsupportedType),
        };
        let operations = match members.get("key_ops") {
            None => None,
            Some(value) => {
                let listed = value.as_array().ok_or(JwkError::Malformed)?;
                let names = listed.iter().map(|op| op.as_str().map(ToOwned::to_owned));
                Some(names.collect::<Option<Vec<_>>>().ok_or(JwkError::Malformed)?)
            }
        };
        Ok(Self {
            numbers,
            key_id: owned("kid")?,
            algorithm: owned("alg")?,
            usage: owned("use")?,
            operations,
        })
    }

    /// Returns the type, which says what algorithms it can serve.
    pub const fn key_type(&self) -> KeyType {
        match self.numbers {
            Numbers::Octets(_) => KeyType::Octets,
            Numbers::Rsa { .. } => KeyType::Rsa,
            Numbers::Ec { key_type, .. } => key_type,
            Numbers::Okp { .. } => KeyType::Ed25519,
        }
    }

    /// Its `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The one algorithm it is used with: `wanted`, its own `alg`, or its type's default; where they differ, none.
    pub(super) fn bind(&self, wanted: Option<Algorithm>, operation: &str) -> Result<Algorithm, JwkError> {
        let own = match &self.algorithm {
            None => None,
            Some(name) => Some(Algorithm::parse(name).ok_or(JwkError::NotForThis)?),
        };
        let algorithm = wanted.or(own).unwrap_or_else(|| self.key_type().default_algorithm());
        let allowed = own.is_none_or(|own| own == algorithm)
            && algorithm.key_type() == self.key_type()
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.operations.as_ref().is_none_or(|ops| ops.iter().any(|op| op == operation));
        if allowed { Ok(algorithm) } else { Err(JwkError::NotForThis) }
    }

    pub(super) fn private(&self) -> Result<Private<'_>, JwkError> {
        match &self.numbers {
            Numbers::Octets(octets) => Ok(Private::Octets(octets)),
            Numbers::Rsa { n, e, private: Some(RsaPrivate { d, p, q, dp, dq, qi }) } => {
                Ok(Private::Rsa { n, e, d, p, q, dp, dq, qi })
            }
            Numbers::Ec { x, y, d: Some(d), .. } => Ok(Private::Ec { d, x, y }),
            Numbers::Okp { x, d: Some(d) } => Ok(Private::Okp { d, x }),
            Numbers::Rsa { private: None, .. }
            | Numbers::Ec { d: None, .. }
            | Numbers::Okp { d: None, .. } => Err(JwkError::NotPrivate),
        }
    }

    pub(super) fn public(&self) -> Public<'_> {
        match &self.numbers {
            Numbers::Octets(octets) => Public::Octets(octets),
            Numbers::Rsa { n, e, .. } => Public::Rsa { n, e },
            Numbers::Ec { x, y, .. } => Public::Ec { x, y },
            Numbers::Okp { x, .. } => Public::Okp { x },
        }
    }

    /// SHA-256 over the required members in lexical order, in base64url (RFC 7638 §3).
    pub fn thumbprint(&self) -> String {
        let json = Zeroizing::new(match &self.numbers {
            Numbers::Octets(k) => format!(r#"{{"k":"{}","kty":"oct"}}"#, encode(k)),
            Numbers::Rsa { n, e, .. } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(e), encode(n))
            }
            Numbers::Ec { key_type, x, y, .. } => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                curve_name(*key_type),
                encode(x),
                encode(y)
            ),
            Numbers::Okp { x, .. } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x)),
        });
        encode(&sha256(json.as_bytes()))
    }

    pub(super) fn key_id_or_thumbprint(&self) -> String {
        self.key_id.clone().unwrap_or_else(|| self.thumbprint())
    }

    /// Returns the public part; none of a shared secret.
    pub(super) fn to_public(&self, key_id: &str, algorithm: Algorithm) -> Option<PublicJwk> {
        let (kty, crv) = match &self.numbers {
            Numbers::Octets(_) => return None,
            Numbers::Rsa { .. } => ("RSA", None),
            Numbers::Ec { key_type, .. } => ("EC", Some(curve_name(*key_type))),
            Numbers::Okp { .. } => ("OKP", Some("Ed25519")),
        };
        let mut members = PublicJwk {
            kty,
            usage: "sig",
            alg: algorithm.as_str(),
            kid: key_id.to_owned(),
            crv,
            ..PublicJwk::default()
        };
        match &self.numbers {
            Numbers::Octets(_) => {}
            Numbers::Rsa { n, e, .. } => (members.n, members.e) = (Some(encode(n)), Some(encode(e))),
            Numbers::Ec { x, y, .. } => (members.x, members.y) = (Some(encode(x)), Some(encode(y))),
            Numbers::Okp { x, .. } => members.x = Some(encode(x)),
        }
        Some(members)
    }

    /// Returns the public part as SubjectPublicKeyInfo in PEM; none of a shared secret.
    pub(super) fn to_public_pem(&self) -> Option<String> {
        to_pem(&match &self.numbers {
            Numbers::Octets(_) => return None,
            Numbers::Rsa { n, e, .. } => PublicNumbers::Rsa { n, e },
            Numbers::Ec { key_type: KeyType::P384, x, y, .. } => PublicNumbers::P384 { x, y },
            Numbers::Ec { x, y, .. } => PublicNumbers::P256 { x, y },
            Numbers::Okp { x, .. } => PublicNumbers::Ed25519 { x },
        })
    }

    /// The whole of it, private members included.
    pub(super) fn to_private_json(&self, key_id: &str, algorithm: Algorithm) -> Zeroizing<Vec<u8>> {
        let mut json = Zeroizing::new(String::with_capacity(4096));
        json.push('{');
        let mut member = |name: &str, value: &str| {
            if json.len() > 1 {
                json.push(',');
            }
            // Names and values are base64url or our own words, but for `kid`, which is escaped.
            json.push_str(&serde_json::to_string(name).unwrap_or_default());
            json.push(':');
            json.push_str(&Zeroizing::new(serde_json::to_string(value).unwrap_or_default()));
        };
        let secret = |octets: &Octets| Zeroizing::new(encode(octets));
        match &self.numbers {
            Numbers::Octets(k) => {
                member("kty", "oct");
                member("k", &secret(k));
            }
            Numbers::Rsa { n, e, private } => {
                member("kty", "RSA");
                member("n", &encode(n));
                member("e", &encode(e));
                if let Some(RsaPrivate { d, p, q, dp, dq, qi }) = private {
                    for (name, octets) in [("d", d), ("p", p), ("q", q), ("dp", dp), ("dq", dq), ("qi", qi)] {
                        member(name, &secret(octets));
                    }
                }
            }
            Numbers::Ec { key_type, x, y, d } => {
                member("kty", "EC");
                member("crv", curve_name(*key_type));
                member("x", &encode(x));
                member("y", &encode(y));
                if let Some(d) = d {
                    member("d", &secret(d));
                }
            }
            Numbers::Okp { x, d } => {
                member("kty", "OKP");
                member("crv", "Ed25519");
                member("x", &encode(x));
                if let Some(d) = d {
                    member("d", &secret(d));
                }
            }
        }
        member("alg", algorithm.as_str());
        member("use", "sig");
        member("kid", key_id);
        json.push('}');
        Zeroizing::new(core::mem::take(&mut *json).into_bytes())
    }
}

const fn curve_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::P384 => "P-384",
        KeyType::P256 | KeyType::Octets | KeyType::Rsa | KeyType::Ed25519 => "P-256",
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("type", &self.key_type())
            .field("kid", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// A public key as it is published. There is none of a shared secret.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PublicJwk {
    kty: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
}
