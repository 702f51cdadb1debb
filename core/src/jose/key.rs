//! Keys, each bound to one algorithm and one `kid`.

use alloc::{string::String, vec::Vec};
use core::fmt;

use zeroize::Zeroizing;

use crate::base::base64url::encode_to;
use crate::crypto::algorithm::Algorithm;
use crate::crypto::{Signer, Verifier};
use crate::jose::jwk::{Jwk, JwkError, PublicJwk};
use crate::jose::jws::{Compact, JwsError, VerifiedJws};

/// A private or shared key that signs by one algorithm.
pub struct SigningKey {
    jwk: Jwk,
    key_id: String,
    algorithm: Algorithm,
    signer: Signer,
}

/// The backend could not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningError;

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key could not sign")
    }
}

impl core::error::Error for SigningError {}

impl SigningKey {
    /// Reads a private JWK, bound to `algorithm`, or else to its own `alg`, or else to its type's default. Its `kid` is
    /// kept; one without gets its RFC 7638 thumbprint.
    ///
    /// # Errors
    /// [`JwkError`] where it is malformed, public, of another type or use than the algorithm takes, too short, or
    /// where its numbers do not belong together.
    pub fn from_jwk(json: &[u8], algorithm: Option<Algorithm>) -> Result<Self, JwkError> {
        Self::new(Jwk::parse(json)?, algorithm)
    }

    /// Binds a JWK in the same way.
    ///
    /// # Errors
    /// As [`SigningKey::from_jwk`].
    pub fn new(jwk: Jwk, algorithm: Option<Algorithm>) -> Result<Self, JwkError> {
        let algorithm = jwk.bind(algorithm, "sign")?;
        let signer = Signer::new(algorithm, &jwk.private()?).map_err(|_| JwkError::Rejected)?;
        let key = Self { key_id: jwk.key_id_or_thumbprint(), algorithm, signer, jwk };
        // A pair whose halves do not belong together is found out here, and not by those who verify.
        let probe = key.sign("probe", b"probe").map_err(|_| JwkError::Rejected)?;
        let compact = Compact::parse(&probe).map_err(|_| JwkError::Rejected)?;
        key.verifying_key()?.verify(&compact).map_err(|_| JwkError::Rejected)?;
        Ok(key)
    }

    /// Makes an Ed25519 key, for the algorithm `EdDSA`, of 32 random bytes that nothing else is made of.
    ///
    /// ```
    /// # fn system_random() -> [u8; 32] { [7; 32] }
    /// use gatepass_core::{Algorithm, SigningKey};
    ///
    /// let key = SigningKey::from_ed25519_seed(&system_random())?;
    /// assert_eq!(key.algorithm(), Algorithm::EdDsa);
    /// // Seal this and store it; `SigningKey::from_jwk` reads it back.
    /// let private = key.to_private_jwk();
    /// assert_eq!(SigningKey::from_jwk(&private, None)?.key_id(), key.key_id());
    /// # Ok::<(), gatepass_core::jose::jwk::JwkError>(())
    /// ```
    ///
    /// # Errors
    /// [`JwkError::Rejected`] where the backend does not accept it.
    pub fn from_ed25519_seed(seed: &[u8; 32]) -> Result<Self, JwkError> {
        Self::new(Jwk::from_ed25519_seed(seed)?, None)
    }

    /// Returns its `kid`.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the algorithm it is bound to.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the key that verifies its signatures.
    ///
    /// # Errors
    /// [`JwkError::Rejected`] where the backend does not accept the public half.
    pub fn verifying_key(&self) -> Result<VerifyingKey, JwkError> {
        VerifyingKey::bound(&self.jwk, self.key_id.clone(), self.algorithm)
    }

    /// Returns the public part as SubjectPublicKeyInfo in PEM, ended by a line break; none of a shared secret.
    pub fn public_pem(&self) -> Option<String> {
        self.jwk.to_public_pem()
    }

    /// The private JWK: `alg` and `kid` included, to be sealed and stored. [`SigningKey::from_jwk`] reads it back.
    pub fn to_private_jwk(&self) -> Zeroizing<Vec<u8>> {
        self.jwk.to_private_json(&self.key_id, self.algorithm)
    }

    /// The signature of `message`, in JWS form (RFC 7515 §5.1).
    pub(super) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.signer.sign(message).map_err(|_| SigningError)
    }

    /// A compact JWS of `payload` with the header `{alg, typ, kid}`.
    ///
    /// # Errors
    /// [`SigningError`] where the backend fails.
    pub fn sign(&self, token_type: &str, payload: &[u8]) -> Result<String, SigningError> {
        #[derive(serde::Serialize)]
        struct Header<'a> {
            alg: &'static str,
            typ: &'a str,
            kid: &'a str,
        }
        let header = Header { alg: self.algorithm.as_str(), typ: token_type, kid: &self.key_id };
        let header = serde_json::to_vec(&header).map_err(|_| SigningError)?;
        // Room for all of it: RSA signatures of keys to 4096 bits are the longest.
        let mut token = String::with_capacity((header.len() + payload.len() + 512) / 3 * 4 + 8);
        encode_to(&mut token, &header);
        token.push('.');
        encode_to(&mut token, payload);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        encode_to(&mut token, &signature);
        Ok(token)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.key_id)
            .field("alg", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// A key that verifies by one algorithm. Of a shared key it holds the secret, and can publish nothing.
pub struct VerifyingKey {
    key_id: String,
    algorithm: Algorithm,
    verifier: Verifier,
    public: Option<PublicJwk>,
}

impl VerifyingKey {
    /// Reads a JWK, public, private or shared, bound as [`SigningKey::from_jwk`] binds.
    ///
    /// # Errors
    /// [`JwkError`] where it is malformed, of another type or use than the algorithm takes, or too short.
    pub fn from_jwk(json: &[u8], algorithm: Option<Algorithm>) -> Result<Self, JwkError> {
        Self::new(&Jwk::parse(json)?, algorithm)
    }

    /// Binds a JWK in the same way.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_jwk`].
    pub fn new(jwk: &Jwk, algorithm: Option<Algorithm>) -> Result<Self, JwkError> {
        Self::bound(jwk, jwk.key_id_or_thumbprint(), jwk.bind(algorithm, "verify")?)
    }

    fn bound(jwk: &Jwk, key_id: String, algorithm: Algorithm) -> Result<Self, JwkError> {
        let verifier = Verifier::new(algorithm, &jwk.public()).map_err(|_| JwkError::Rejected)?;
        Ok(Self { public: jwk.to_public(&key_id, algorithm), key_id, algorithm, verifier })
    }

    /// Returns its `kid`.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the algorithm it is bound to.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the public JWK, `alg` and `kid` included; none of a shared key.
    pub(crate) fn public_json(&self) -> Option<String> {
        serde_json::to_string(self.public.as_ref()?).ok()
    }

    /// Verifies `jws` by this key's algorithm, whatever the header says.
    ///
    /// # Errors
    /// [`JwsError::NoKey`] where the header names another algorithm, [`JwsError::BadSignature`] where it does not fit.
    pub fn verify<'a>(&self, jws: &'a Compact) -> Result<VerifiedJws<'a>, JwsError> {
        if jws.algorithm() != self.algorithm {
            return Err(JwsError::NoKey);
        }
        if self.verifier.verify(jws.signing_input().as_bytes(), jws.signature()) {
            Ok(jws.verified())
        } else {
            Err(JwsError::BadSignature)
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.key_id)
            .field("alg", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Keys to verify by, each with a `kid` of its own.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    public: String,
}

impl KeySet {
    /// A set of `keys`. Of two with one `kid`, the first is kept.
    pub fn new(keys: Vec<VerifyingKey>) -> Self {
        let mut kept: Vec<VerifyingKey> = Vec::with_capacity(keys.len());
        for key in keys {
            if !kept.iter().any(|k| k.key_id == key.key_id) {
                kept.push(key);
            }
        }
        #[derive(serde::Serialize)]
        struct Set<'a> {
            keys: Vec<&'a PublicJwk>,
        }
        let set = Set { keys: kept.iter().filter_map(|key| key.public.as_ref()).collect() };
        Self { public: serde_json::to_string(&set).unwrap_or_default(), keys: kept }
    }

    /// Verifies `jws` by the key that its `kid` names; without `kid`, by the only key of its algorithm.
    ///
    /// # Errors
    /// [`JwsError::NoKey`] where there is none, or more than one; [`JwsError::BadSignature`] where it does not fit.
    pub fn verify<'a>(&self, jws: &'a Compact) -> Result<VerifiedJws<'a>, JwsError> {
        let mut candidates = self.keys.iter().filter(|key| {
            key.algorithm == jws.algorithm() && jws.key_id().is_none_or(|key_id| key.key_id == key_id)
        });
        match (candidates.next(), candidates.next()) {
            (Some(key), None) => key.verify(jws),
            _ => Err(JwsError::NoKey),
        }
    }

    /// The JWK set to publish: public keys only, a shared key never (RFC 7517 §5).
    pub fn public_jwk_set(&self) -> &str {
        &self.public
    }

    /// The algorithms of the keys that are published, each once.
    pub fn public_algorithms(&self) -> Vec<&'static str> {
        let mut algorithms: Vec<Algorithm> =
            self.keys.iter().filter(|key| key.public.is_some()).map(|key| key.algorithm).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        algorithms.iter().map(|algorithm| algorithm.as_str()).collect()
    }
}
