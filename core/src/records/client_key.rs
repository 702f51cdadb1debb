//! The public keys of a client: it proves who it is by signing an assertion with the private half (RFC 7523 §2.2).

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde_json::{Map, Value};

use crate::base::json::parse_object;
use crate::crypto::algorithm::{Algorithm, KeyType};
use crate::jose::jwk::{Jwk, JwkError};
use crate::jose::jws::Compact;
use crate::jose::key::VerifyingKey;

/// The members of a JWK that only a private or shared key has (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key, bound to one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    id: String,
    algorithm: Algorithm,
    jwk: String,
}

/// The reason why a JWK set was not accepted as the keys of a client. It repeats nothing of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientKeysError {
    /// It is not one strict JSON object with an array `keys`.
    NotASet,
    /// It has more keys than this.
    TooMany {
        /// The most keys.
        most: usize,
    },
    /// The key of this number, from 1, is not a key that can be used.
    Unusable {
        /// The number.
        number: usize,
        /// The reason.
        fault: ClientKeyFault,
    },
}

/// The reason why one key was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientKeyFault {
    /// It has a member of a private key.
    Private,
    /// It is a shared secret.
    Shared,
    /// Its `kid` is empty, longer than [`ClientKey::MAX_ID`] characters, or has a control character.
    BadId,
    /// An earlier key has the same `kid`.
    SameId,
    /// It is not a JWK that is served here.
    Jwk(JwkError),
}

impl fmt::Display for ClientKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASet => f.write_str("it is no JWK set: one JSON object with an array \"keys\""),
            Self::TooMany { most } => write!(f, "it has more than {most} keys"),
            Self::Unusable { number, fault } => write!(f, "key {number} of the set: {fault}"),
        }
    }
}

impl fmt::Display for ClientKeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("it is a private key: give the public half alone"),
            Self::Shared => f.write_str("it is a shared secret: give the public half of a pair"),
            Self::BadId => {
                write!(f, "its kid is not 1 to {} characters without control characters", ClientKey::MAX_ID)
            }
            Self::SameId => f.write_str("an earlier key has the same kid"),
            Self::Jwk(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ClientKeysError {}

impl ClientKey {
    /// The most keys of a client.
    pub const MAX: usize = 8;
    /// The longest `kid`, in characters.
    pub const MAX_ID: usize = 128;

    /// Reads a JWK set of public keys (RFC 7517 §5). A key without `kid` gets its RFC 7638 thumbprint, and one without `alg` the default
    /// of its type.
    ///
    /// # Errors
    /// [`ClientKeysError`] where it is no set, has too many keys, or any key of it cannot be used.
    pub fn read_set(json: &[u8]) -> Result<Vec<Self>, ClientKeysError> {
        let set = parse_object(json).map_err(|_| ClientKeysError::NotASet)?;
        let members = set.get("keys").and_then(Value::as_array).ok_or(ClientKeysError::NotASet)?;
        if members.len() > Self::MAX {
            return Err(ClientKeysError::TooMany { most: Self::MAX });
        }
        let mut keys: Vec<Self> = Vec::with_capacity(members.len());
        for (number, member) in (1..).zip(members) {
            let unusable = |fault| ClientKeysError::Unusable { number, fault };
            let key = Self::read(member.as_object().ok_or(ClientKeysError::NotASet)?).map_err(unusable)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(unusable(ClientKeyFault::SameId));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// Reads one public JWK.
    ///
    /// # Errors
    /// As [`read_set`](Self::read_set) of a set with this key.
    pub fn read_one(json: &[u8]) -> Result<Self, ClientKeysError> {
        let unusable = |fault| ClientKeysError::Unusable { number: 1, fault };
        let members = parse_object(json).map_err(|_| unusable(ClientKeyFault::Jwk(JwkError::Malformed)))?;
        Self::read(&members).map_err(unusable)
    }

    fn read(members: &Map<String, Value>) -> Result<Self, ClientKeyFault> {
        if members.get("kty").and_then(Value::as_str) == Some("oct") {
            return Err(ClientKeyFault::Shared);
        }
        if PRIVATE.iter().any(|name| members.contains_key(*name)) {
            return Err(ClientKeyFault::Private);
        }
        let jwk = Jwk::read(members).map_err(ClientKeyFault::Jwk)?;
        let key = VerifyingKey::new(&jwk, None).map_err(ClientKeyFault::Jwk)?;
        let id = key.key_id();
        if id.is_empty() || id.chars().count() > Self::MAX_ID || id.chars().any(char::is_control) {
            return Err(ClientKeyFault::BadId);
        }
        Ok(Self {
            id: id.into(),
            algorithm: key.algorithm(),
            jwk: key.public_json().ok_or(ClientKeyFault::Shared)?,
        })
    }

    /// Writes `keys` as a JWK set, which [`ClientKey::read_set`] reads back.
    pub fn write_set(keys: &[Self]) -> String {
        let mut set = String::from("{\"keys\":[");
        for (number, key) in keys.iter().enumerate() {
            if number > 0 {
                set.push(',');
            }
            set.push_str(&key.jwk);
        }
        set.push_str("]}");
        set
    }

    /// Returns its `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the algorithm it is bound to.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the public JWK as JSON.
    pub fn jwk(&self) -> &str {
        &self.jwk
    }

    /// Returns true if it verifies by `algorithm`, and `id` names it, where there is one.
    fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        self.algorithm == algorithm && id.is_none_or(|id| self.id == id)
    }

    /// Returns true if the one of `keys` that `jws` names verifies it; without `kid`, the only one of its algorithm.
    pub(crate) fn verify_by_one_of(keys: &[Self], jws: &Compact) -> bool {
        let mut named = keys.iter().filter(|key| key.fits(jws.algorithm(), jws.key_id()));
        let (Some(key), None) = (named.next(), named.next()) else { return false };
        let key = VerifyingKey::from_jwk(key.jwk.as_bytes(), Some(key.algorithm));
        key.is_ok_and(|key| key.verify(jws).is_ok())
    }
}

impl Algorithm {
    /// Returns true if a client may authenticate by it: what verifies cannot sign.
    pub(crate) fn is_asymmetric(self) -> bool {
        self.key_type() != KeyType::Octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::key::SigningKey;
    use alloc::format;

    const EC: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
    const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn read(members: &[&str]) -> Result<Vec<ClientKey>, ClientKeysError> {
        let members: Vec<String> = members.iter().map(|members| format!("{{{members}}}")).collect();
        ClientKey::read_set(format!("{{\"keys\":[{}]}}", members.join(",")).as_bytes())
    }

    #[test]
    fn a_set_is_read_and_written() {
        let keys = read(&[EC, &format!(r#"{ED},"kid":"e","alg":"Ed25519","use":"sig","x5t":"?""#)]).unwrap();
        let found: Vec<_> = keys.iter().map(|key| (key.id(), key.algorithm())).collect();
        assert_eq!(
            found,
            [("oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U", Algorithm::Es256), ("e", Algorithm::Ed25519)]
        );
        assert_eq!(ClientKey::read_set(ClientKey::write_set(&keys).as_bytes()), Ok(keys));
        assert_eq!(read(&[]), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_a_usable_public_key_is_refused() {
        use ClientKeyFault::{BadId, Jwk, Private, SameId, Shared};
        let rsa = |bytes: usize| {
            let n = crate::base::base64url::encode(&alloc::vec![0xff; bytes]);
            format!(r#""kty":"RSA","n":"{n}","e":"AQAB""#)
        };
        let with = |more: &str| format!("{EC},{more}");
        for (members, fault) in [
            (with(r#""d":"AQ""#), Private),
            (with(r#""k":"AQ""#), Private),
            (format!(r#"{},"p":"AQ""#, rsa(256)), Private),
            (r#""kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow""#.into(), Shared),
            (with(r#""kid":"""#), BadId),
            (with(r#""kid":"a\nb""#), BadId),
            (with(&format!(r#""kid":"{}""#, "k".repeat(129))), BadId),
            (with(r#""kid":7"#), Jwk(JwkError::Malformed)),
            (with(r#""use":"enc""#), Jwk(JwkError::NotForThis)),
            (with(r#""key_ops":["sign"]"#), Jwk(JwkError::NotForThis)),
            (with(r#""alg":"HS256""#), Jwk(JwkError::NotForThis)),
            (with(r#""alg":"none""#), Jwk(JwkError::NotForThis)),
            (with(r#""alg":"RS256""#), Jwk(JwkError::NotForThis)),
            (r#""kty":"EC","crv":"P-521","x":"AQ","y":"AQ""#.into(), Jwk(JwkError::UnsupportedType)),
            (r#""kty":"EC","crv":"P-256","x":"AQ","y":"AQ""#.into(), Jwk(JwkError::Rejected)),
            (r#""kty":"RSA","n":"AQAB""#.into(), Jwk(JwkError::BadNumber)),
            (rsa(255), Jwk(JwkError::Rejected)),
            (rsa(1025), Jwk(JwkError::Rejected)),
        ] {
            let expected = Err(ClientKeysError::Unusable { number: 2, fault });
            assert_eq!(read(&[ED, &members]), expected, "{members}");
        }
        let longest = format!(r#"{},"alg":"PS512""#, rsa(1024));
        assert_eq!(read(&[&rsa(256), &longest]).map(|keys| keys.len()), Ok(2), "2048 to 8192 bits");
        assert_eq!(read(&[EC, EC]), Err(ClientKeysError::Unusable { number: 2, fault: SameId }));
        assert_eq!(read(&[ED; 9]), Err(ClientKeysError::TooMany { most: 8 }));
        for text in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[7]}"#,
            r#"{"keys":[],"keys":[]}"#,
            r#"{"kty":"EC"}"#,
        ] {
            assert_eq!(ClientKey::read_set(text.as_bytes()), Err(ClientKeysError::NotASet), "{text}");
        }
    }

    #[test]
    fn one_key_verifies_by_its_own_algorithm() {
        let signing = SigningKey::from_ed25519_seed(&[7; 32]).unwrap();
        let public = signing.verifying_key().unwrap().public_json().unwrap();
        let set = |keys: &[&str]| {
            ClientKey::read_set(format!("{{\"keys\":[{}]}}", keys.join(",")).as_bytes()).unwrap()
        };
        let jws = Compact::parse(&signing.sign("JWT", b"{}").unwrap()).unwrap();
        assert!(ClientKey::verify_by_one_of(&set(&[&public]), &jws));
        assert!(!ClientKey::verify_by_one_of(&[], &jws));
        assert!(!ClientKey::verify_by_one_of(&set(&[&public.replace("EdDSA", "Ed25519")]), &jws));
        assert!(!ClientKey::verify_by_one_of(&set(&[&public.replace(signing.key_id(), "other")]), &jws));
    }
}
