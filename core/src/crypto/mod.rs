//! The one file that names the cryptography backend. Everything else speaks of algorithms and key material.

pub mod algorithm;
pub mod seed;

use alloc::{boxed::Box, vec, vec::Vec};
use core::num::NonZeroU32;

#[cfg(feature = "aws-lc")]
use aws_lc_rs as backend;
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
use ring as backend;

#[cfg(not(any(feature = "ring", feature = "aws-lc")))]
compile_error!(
    "gatepass-core needs a cryptography backend: enable the feature `ring` (the default) or the feature `aws-lc`"
);

/// Registers the generator of a target without an operating system (feature `custom-rng`).
#[cfg(feature = "custom-rng")]
pub use getrandom_of_ring::{Error as CustomRngError, register_custom_getrandom};

use backend::aead;
use backend::hmac;
use backend::rand::SystemRandom;
use backend::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};

use zeroize::Zeroizing;

use crate::base::secret::Secret;
use crate::crypto::algorithm::{Algorithm, KeyType};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(backend::digest::digest(&backend::digest::SHA256, bytes).as_ref());
    out
}

/// A SHA-256 being made.
pub struct Sha256(backend::digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(backend::digest::Context::new(&backend::digest::SHA256))
    }
}

impl Sha256 {
    /// Takes in `bytes`.
    pub fn absorb(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything taken in.
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

/// HMAC-SHA-256 of `message`.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = MacKey::new(key).begin();
    mac.absorb(message);
    mac.finish()
}

/// The hash of a PBKDF2 (RFC 8018 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pbkdf2Hash {
    Sha1,
    Sha256,
    Sha512,
}

impl Pbkdf2Hash {
    /// Returns its bytes: so many are made by each run of all iterations.
    pub(crate) const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// Derives `output` from `password` (PBKDF2 with HMAC); none without iterations.
pub(crate) fn pbkdf2(
    hash: Pbkdf2Hash,
    iterations: u32,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
) -> Option<()> {
    let hash = match hash {
        Pbkdf2Hash::Sha1 => backend::pbkdf2::PBKDF2_HMAC_SHA1,
        Pbkdf2Hash::Sha256 => backend::pbkdf2::PBKDF2_HMAC_SHA256,
        Pbkdf2Hash::Sha512 => backend::pbkdf2::PBKDF2_HMAC_SHA512,
    };
    backend::pbkdf2::derive(hash, NonZeroU32::new(iterations)?, salt, password, output);
    Some(())
}

/// The hash of a TOTP device (RFC 6238 §1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtpHash {
    /// SHA-1, which every authenticator knows.
    Sha1,
    /// SHA-256
    Sha256,
    /// SHA-512
    Sha512,
}

impl OtpHash {
    /// `SHA1`, `SHA256` or `SHA512`, as an `otpauth` URI spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// Reads `SHA1`, `SHA256` or `SHA512`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha512].into_iter().find(|hash| hash.as_str() == text)
    }

    /// Bytes of a new secret: as long as the hash (RFC 4226 §4, R6).
    pub(crate) const fn secret_length(self) -> u8 {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// HMAC of `message` for HOTP: SHA-1 by default (RFC 4226), which HMAC does not need to be collision-free.
pub(crate) fn otp_hmac(hash: OtpHash, key: &[u8], message: &[u8]) -> hmac::Tag {
    let hash = match hash {
        OtpHash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        OtpHash::Sha256 => hmac::HMAC_SHA256,
        OtpHash::Sha512 => hmac::HMAC_SHA512,
    };
    hmac::sign(&hmac::Key::new(hash, key), message)
}

/// A key for [`Mac`]s.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Takes the key's bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Begins a keyed hash.
    pub fn begin(&self) -> Mac {
        Mac(hmac::Context::with_key(&self.0))
    }
}

/// A keyed hash (HMAC-SHA-256, RFC 2104) being made.
pub struct Mac(hmac::Context);

impl Mac {
    /// Takes in `bytes`. Nothing separates what is taken in twice: lengths are the caller's to add.
    pub fn absorb(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything taken in.
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.sign().as_ref());
        out
    }
}

/// A private key's numbers, big-endian, as a JWK has them (RFC 7518 §6, RFC 8037 §2).
pub(crate) enum Private<'a> {
    Octets(&'a [u8]),
    Rsa {
        n: &'a [u8],
        e: &'a [u8],
        d: &'a [u8],
        p: &'a [u8],
        q: &'a [u8],
        dp: &'a [u8],
        dq: &'a [u8],
        qi: &'a [u8],
    },
    Ec {
        d: &'a [u8],
        x: &'a [u8],
        y: &'a [u8],
    },
    Okp {
        d: &'a [u8],
        x: &'a [u8],
    },
}

/// A public key's numbers, likewise. HMAC has none, and takes its octets.
pub(crate) enum Public<'a> {
    Octets(&'a [u8]),
    Rsa { n: &'a [u8], e: &'a [u8] },
    Ec { x: &'a [u8], y: &'a [u8] },
    Okp { x: &'a [u8] },
}

/// The backend does not accept the key: of the wrong kind or size for the algorithm, or inconsistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected;

/// A private key, ready to sign by one algorithm.
pub(crate) enum Signer {
    Hmac(Box<hmac::Key>),
    /// With the length of its signatures, in bytes.
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding, usize),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A public key, ready to verify by one algorithm.
pub(crate) enum Verifier {
    Hmac(Box<hmac::Key>),
    Rsa(RsaPublicKeyComponents<Vec<u8>>, &'static signature::RsaParameters),
    Point(UnparsedPublicKey<Vec<u8>>),
}

const fn hmac_algorithm(algorithm: Algorithm) -> Option<(hmac::Algorithm, usize)> {
    match algorithm {
        Algorithm::Hs256 => Some((hmac::HMAC_SHA256, 32)),
        Algorithm::Hs384 => Some((hmac::HMAC_SHA384, 48)),
        Algorithm::Hs512 => Some((hmac::HMAC_SHA512, 64)),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::EdDsa
        | Algorithm::Ed25519 => None,
    }
}

/// A key at least as long as the hash (RFC 7518 §3.2).
fn hmac_key(algorithm: Algorithm, octets: &[u8]) -> Result<hmac::Key, Rejected> {
    match hmac_algorithm(algorithm) {
        Some((hash, shortest)) if octets.len() >= shortest => Ok(hmac::Key::new(hash, octets)),
        Some(_) | None => Err(Rejected),
    }
}

type RsaPair = (&'static dyn signature::RsaEncoding, &'static signature::RsaParameters);

fn rsa(algorithm: Algorithm) -> Option<RsaPair> {
    Some(match algorithm {
        Algorithm::Rs256 => (&signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => (&signature::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => (&signature::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => (&signature::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => (&signature::RSA_PSS_SHA384, &signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => (&signature::RSA_PSS_SHA512, &signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::EdDsa
        | Algorithm::Ed25519 => return None,
    })
}

type EcPair =
    (&'static signature::EcdsaSigningAlgorithm, &'static signature::EcdsaVerificationAlgorithm, usize);

fn ecdsa(algorithm: Algorithm) -> Option<EcPair> {
    match algorithm {
        Algorithm::Es256 => {
            Some((&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &signature::ECDSA_P256_SHA256_FIXED, 32))
        }
        Algorithm::Es384 => {
            Some((&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &signature::ECDSA_P384_SHA384_FIXED, 48))
        }
        Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512
        | Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::EdDsa
        | Algorithm::Ed25519 => None,
    }
}

/// `0x04 || x || y` (SEC 1 §2.3.3), both of the curve's full length.
fn point(x: &[u8], y: &[u8], length: usize) -> Result<Vec<u8>, Rejected> {
    if x.len() != length || y.len() != length {
        return Err(Rejected);
    }
    Ok([&[4], x, y].concat())
}

/// An exponent that is odd and at least 65537 (FIPS 186-5 §5.1).
fn is_sound_exponent(e: &[u8]) -> bool {
    let odd = e.last().is_some_and(|last| last & 1 == 1);
    odd && (e.len() > 3 || e.len() == 3 && e.first() >= Some(&1)) && e.first() != Some(&0)
}

/// A modulus of 2048 bits (RFC 7518 §3.3) to `most` bytes, no zero before it.
fn is_sound_modulus(n: &[u8], most: usize) -> bool {
    let least = if n.len() == 256 { 0x80 } else { 1 };
    (256..=most).contains(&n.len()) && n.first() >= Some(&least)
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm, private: &Private<'_>) -> Result<Self, Rejected> {
        match *private {
            Private::Octets(octets) => Ok(Self::Hmac(Box::new(hmac_key(algorithm, octets)?))),
            Private::Rsa { n, e, d, p, q, dp, dq, qi } => {
                let (encoding, _) = rsa(algorithm).ok_or(Rejected)?;
                // What either backend takes, so that a key is good for both: 2048, 3072 or 4096 bits.
                let sized = is_sound_modulus(n, 512) && n.len() % 128 == 0 && n.first() >= Some(&0x80);
                if !sized || !is_sound_exponent(e) {
                    return Err(Rejected);
                }
                let public_key = backend::rsa::PublicKeyComponents { n, e };
                let parts = backend::rsa::KeyPairComponents { public_key, d, p, q, dP: dp, dQ: dq, qInv: qi };
                let pair = RsaKeyPair::from_components(&parts).map_err(|_| Rejected)?;
                Ok(Self::Rsa(pair, encoding, n.len()))
            }
            Private::Ec { d, x, y } => {
                let (signing, _, length) = ecdsa(algorithm).ok_or(Rejected)?;
                let public = point(x, y, length)?;
                #[cfg(feature = "aws-lc")]
                let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, d, &public);
                #[cfg(all(feature = "ring", not(feature = "aws-lc")))]
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(signing, d, &public, &SystemRandom::new());
                Ok(Self::Ecdsa(pair.map_err(|_| Rejected)?))
            }
            Private::Okp { d, x } if algorithm.key_type() == KeyType::Ed25519 => {
                Ok(Self::Ed25519(Ed25519KeyPair::from_seed_and_public_key(d, x).map_err(|_| Rejected)?))
            }
            Private::Okp { .. } => Err(Rejected),
        }
    }

    /// The signature of `message`, in JWS form. PS and ES signatures draw on the system's generator.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Rejected> {
        let random = SystemRandom::new();
        match self {
            Self::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rsa(pair, encoding, length) => {
                let mut signature = vec![0; *length];
                pair.sign(*encoding, &random, message, &mut signature).map_err(|_| Rejected)?;
                Ok(signature)
            }
            Self::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(|_| Rejected)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl Verifier {
    pub(crate) fn new(algorithm: Algorithm, public: &Public<'_>) -> Result<Self, Rejected> {
        match *public {
            Public::Octets(octets) => Ok(Self::Hmac(Box::new(hmac_key(algorithm, octets)?))),
            Public::Rsa { n, e } => {
                let (_, parameters) = rsa(algorithm).ok_or(Rejected)?;
                if !is_sound_modulus(n, 1024) || !is_sound_exponent(e) {
                    return Err(Rejected);
                }
                Ok(Self::Rsa(RsaPublicKeyComponents { n: n.to_vec(), e: e.to_vec() }, parameters))
            }
            Public::Ec { x, y } => {
                let (_, verifying, length) = ecdsa(algorithm).ok_or(Rejected)?;
                Ok(Self::Point(UnparsedPublicKey::new(verifying, point(x, y, length)?)))
            }
            Public::Okp { x } if algorithm.key_type() == KeyType::Ed25519 && x.len() == 32 => {
                Ok(Self::Point(UnparsedPublicKey::new(&signature::ED25519, x.to_vec())))
            }
            Public::Okp { .. } => Err(Rejected),
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Rsa(key, parameters) => key.verify(parameters, message, signature).is_ok(),
            Self::Point(key) => key.verify(message, signature).is_ok(),
        }
    }
}

/// The public half of an Ed25519 seed, as key files often leave it out.
pub(crate) fn ed25519_public(seed: &[u8]) -> Result<Vec<u8>, Rejected> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Rejected)?;
    Ok(pair.public_key().as_ref().to_vec())
}

/// A new pair for ES256 or ES384 as PKCS#8, drawn from the system's generator by the backend; none for other algorithms.
pub fn generate_ec_pkcs8(algorithm: Algorithm) -> Option<Zeroizing<Vec<u8>>> {
    let (signing, _, _) = ecdsa(algorithm)?;
    let document = EcdsaKeyPair::generate_pkcs8(signing, &SystemRandom::new()).ok()?;
    Some(Zeroizing::new(document.as_ref().to_vec()))
}

/// AES-256-GCM: `plain` sealed under `key`, bound to `context`. The nonce (96 bits, never used twice under one key)
/// goes before the ciphertext.
///
/// # Errors
/// None where the backend refuses, which it does for no input that fits in memory.
pub fn seal(key: &Secret<32>, nonce: [u8; 12], context: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key.expose()).ok()?);
    let mut sealed = plain.to_vec();
    let unique = aead::Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(unique, aead::Aad::from(context), &mut sealed).ok()?;
    Some([&nonce[..], &sealed].concat())
}

/// Opens what [`seal`] sealed; none if key, context or any byte differs.
pub fn open(key: &Secret<32>, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key.expose()).ok()?);
    let (nonce, sealed) = sealed.split_at_checked(12)?;
    let nonce = aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    let length = key.open_in_place(nonce, aead::Aad::from(context), &mut plain).ok()?.len();
    plain.truncate(length);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_of_rfc_4231_case_2() {
        let mut mac = MacKey::new(b"Jefe").begin();
        mac.absorb(b"what do ya want ");
        mac.absorb(b"for nothing?");
        let hash = mac.finish();
        assert_eq!(hash[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
        assert_eq!(hmac_sha256(b"Jefe", b"what do ya want for nothing?"), hash);
    }

    #[test]
    fn rsa_verifies_with_2048_to_8192_bits() {
        let modulus = |length, first| {
            let mut n = vec![0xff; length];
            n[0] = first;
            n
        };
        for (length, first, good) in [
            (255, 0xff, false),
            (256, 0, false),
            (256, 0x7f, false),
            (256, 0x80, true),
            (257, 0, false),
            (257, 1, true),
            (1024, 0xff, true),
            (1025, 1, false),
        ] {
            let public = Public::Rsa { n: &modulus(length, first), e: &[1, 0, 1] };
            assert_eq!(Verifier::new(Algorithm::Rs256, &public).is_ok(), good, "{first}, {length} bytes");
        }
    }

    #[test]
    fn what_is_sealed_opens_under_the_same_key_and_context_alone() {
        let key = Secret::new([1; 32]);
        let sealed = seal(&key, [2; 12], b"here", b"secret").unwrap();
        assert_eq!(open(&key, b"here", &sealed).unwrap().as_slice(), b"secret");
        assert!(open(&key, b"there", &sealed).is_none());
        assert!(open(&Secret::new([3; 32]), b"here", &sealed).is_none());
        assert!(open(&key, b"here", b"short").is_none());
        for byte in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[byte] ^= 1;
            assert!(open(&key, b"here", &bent).is_none(), "byte {byte}");
        }
    }
}
