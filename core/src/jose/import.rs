//! Key files that others wrote, read into signing keys: PKCS#8 (RFC 5958, both versions), PKCS#1 (RFC 8017 §A.1.2) and
//! SEC 1 (RFC 5915), in PEM (RFC 7468) or DER; private JWK; raw octets.

use core::fmt;

use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use pkcs8::der::asn1::{ObjectIdentifier, OctetStringRef};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use crate::crypto::algorithm::{Algorithm, KeyType};
use crate::jose::jwk::{Jwk, JwkError, RsaPrivate};
use crate::jose::key::SigningKey;

/// The longest key file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
pub(super) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The reason why a key file was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportError {
    /// Longer than [`MAX_BYTES`].
    TooLong,
    /// The file has none of the formats.
    UnknownFormat,
    /// The PEM or DER within is broken.
    Broken,
    /// Encrypted with a passphrase.
    Encrypted,
    /// A public key, a certificate, or something else that cannot sign.
    NotPrivate,
    /// An elliptic-curve key without its public point.
    NoPublicPoint,
    /// Raw octets without the name of an HMAC algorithm.
    NeedsAlgorithm,
    /// The key itself will not do.
    Key(JwkError),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the file is longer than {MAX_BYTES} bytes"),
            Self::UnknownFormat => f.write_str(
                "not a key file: PKCS#8, PKCS#1 or SEC 1 in PEM or DER, a private JWK, or raw octets with --alg HS256",
            ),
            Self::Broken => f.write_str("the key file is damaged: its PEM or DER cannot be read"),
            Self::Encrypted => f.write_str("the key is encrypted: decrypt it first, with `openssl pkey -in FILE`"),
            Self::NotPrivate => f.write_str("the file holds no private key"),
            Self::NoPublicPoint => {
                f.write_str("the key lacks its public point: write it anew with `openssl pkey -in FILE`")
            }
            Self::NeedsAlgorithm => f.write_str("raw octets need --alg HS256, HS384 or HS512"),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ImportError {}

impl From<JwkError> for ImportError {
    fn from(error: JwkError) -> Self {
        Self::Key(error)
    }
}

/// Reads a key file that another program wrote, bound to `algorithm`, or else to what the file or the key's type suggests.
///
/// ```
/// use gatepass_core::{Algorithm, import};
///
/// // As `openssl genpkey -algorithm ed25519` writes it.
/// let pem = b"-----BEGIN PRIVATE KEY-----
/// MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
/// -----END PRIVATE KEY-----
/// ";
/// let key = import(pem, None)?;
/// assert_eq!(key.algorithm(), Algorithm::EdDsa);
/// # Ok::<(), gatepass_core::jose::import::ImportError>(())
/// ```
///
/// # Errors
/// [`ImportError`], which says what to do about it.
pub fn import(file: &[u8], algorithm: Option<Algorithm>) -> Result<SigningKey, ImportError> {
    if file.len() > MAX_BYTES {
        return Err(ImportError::TooLong);
    }
    if algorithm.is_some_and(|a| a.key_type() == KeyType::Octets) && !is_structured(file) {
        return Ok(SigningKey::new(Jwk::from_octets(file), algorithm)?);
    }
    let (jwk, suggested) = if file.trim_ascii_start().starts_with(b"{") {
        (Jwk::parse(file)?, None)
    } else if let Some(text) = core::str::from_utf8(file).ok().filter(|text| text.contains("-----BEGIN ")) {
        pem(text)?
    } else {
        der(file)?
    };
    Ok(SigningKey::new(jwk, algorithm.or(suggested))?)
}

type Read = (Jwk, Option<Algorithm>);

/// Returns true if `file` is a key in one of the other formats, and so no bare secret.
fn is_structured(file: &[u8]) -> bool {
    let text = file.trim_ascii_start();
    text.starts_with(b"{")
        || text.starts_with(b"-----BEGIN ")
        || !matches!(der(file), Err(ImportError::UnknownFormat))
}

/// The first private key among the blocks of a PEM file; `openssl ecparam` writes parameters before it.
fn pem(text: &str) -> Result<Read, ImportError> {
    let mut rest = text;
    while let Some((block, after)) = first_block(rest)? {
        rest = after;
        let (label, bytes) = pem_rfc7468::decode_vec(block.as_bytes()).map_err(|_| ImportError::Broken)?;
        let bytes = Zeroizing::new(bytes);
        match label {
            "PRIVATE KEY" => return pkcs8(&bytes),
            "RSA PRIVATE KEY" => return Ok((pkcs1(&bytes)?, None)),
            "EC PRIVATE KEY" => return Ok((sec1(&bytes, None)?, None)),
            "ENCRYPTED PRIVATE KEY" => return Err(ImportError::Encrypted),
            _ => {}
        }
    }
    Err(ImportError::NotPrivate)
}

/// The first block of `text`, from its `-----BEGIN` to the end of its `-----END` line, and what follows.
fn first_block(text: &str) -> Result<Option<(&str, &str)>, ImportError> {
    let Some((_, begin)) = text.split_once("-----BEGIN ") else { return Ok(None) };
    let start = text.len() - begin.len() - "-----BEGIN ".len();
    let (_, end) = begin.split_once("-----END ").ok_or(ImportError::Broken)?;
    let (_, after) = end.split_once("-----").ok_or(ImportError::Broken)?;
    let block = text.get(start..text.len() - after.len()).ok_or(ImportError::Broken)?;
    Ok(Some((block, after)))
}

fn der(bytes: &[u8]) -> Result<Read, ImportError> {
    if PrivateKeyInfoRef::from_der(bytes).is_ok() {
        return pkcs8(bytes);
    }
    if let Ok(jwk) = pkcs1(bytes) {
        return Ok((jwk, None));
    }
    match sec1(bytes, None) {
        Err(ImportError::Broken) => Err(ImportError::UnknownFormat),
        read => read.map(|jwk| (jwk, None)),
    }
}

fn pkcs8(bytes: &[u8]) -> Result<Read, ImportError> {
    let info = PrivateKeyInfoRef::from_der(bytes).map_err(|_| ImportError::Broken)?;
    let private = info.private_key.as_bytes();
    let oid = info.algorithm.oid;
    if oid == RSA {
        return Ok((pkcs1(private)?, None));
    }
    if oid == RSA_PSS {
        return Ok((pkcs1(private)?, Some(Algorithm::Ps256)));
    }
    if oid == EC {
        let curve = info.algorithm.parameters.and_then(|p| ObjectIdentifier::try_from(p).ok());
        return Ok((sec1(private, curve)?, None));
    }
    if oid == ED25519 {
        let seed = <&OctetStringRef>::from_der(private).map_err(|_| ImportError::Broken)?;
        return Ok((Jwk::from_ed25519_seed(seed.as_bytes())?, None));
    }
    Err(ImportError::Key(JwkError::UnsupportedType))
}

fn pkcs1(bytes: &[u8]) -> Result<Jwk, ImportError> {
    let key = pkcs1::RsaPrivateKey::from_der(bytes).map_err(|_| ImportError::Broken)?;
    if key.other_prime_infos.is_some() {
        return Err(ImportError::Key(JwkError::UnsupportedType));
    }
    let secret = |number: pkcs1::UintRef<'_>| Zeroizing::new(number.as_bytes().to_vec());
    let private = RsaPrivate {
        d: secret(key.private_exponent),
        p: secret(key.prime1),
        q: secret(key.prime2),
        dp: secret(key.exponent1),
        dq: secret(key.exponent2),
        qi: secret(key.coefficient),
    };
    Ok(Jwk::from_rsa(key.modulus.as_bytes().to_vec(), key.public_exponent.as_bytes().to_vec(), private))
}

fn sec1(bytes: &[u8], outer: Option<ObjectIdentifier>) -> Result<Jwk, ImportError> {
    let key = EcPrivateKey::from_der(bytes).map_err(|_| ImportError::Broken)?;
    let inner = key.parameters.and_then(|p| p.named_curve());
    let length = match (outer, inner) {
        (Some(a), Some(b)) if a != b => return Err(ImportError::Broken),
        (Some(curve), _) | (None, Some(curve)) if curve == P256 => 32,
        (Some(curve), _) | (None, Some(curve)) if curve == P384 => 48,
        _ => return Err(ImportError::Key(JwkError::UnsupportedType)),
    };
    let point = key.public_key.ok_or(ImportError::NoPublicPoint)?;
    // RFC 5915 §3 has the scalar at full length; some writers drop its leading zeros.
    let mut scalar = Zeroizing::new([0u8; 48]);
    let start = usize::checked_sub(length, key.private_key.len()).ok_or(ImportError::Broken)?;
    let slot = scalar.get_mut(start..length).ok_or(ImportError::Broken)?;
    slot.copy_from_slice(key.private_key);
    Ok(Jwk::from_ec(scalar.get(..length).unwrap_or_default(), point)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec::Vec};

    const RSA_PKCS8: &[u8] = include_bytes!("testdata/rsa2048.pkcs8.pem");
    const RSA_PKCS1: &[u8] = include_bytes!("testdata/rsa2048.pkcs1.pem");
    const RSA_PSS: &[u8] = include_bytes!("testdata/rsa-pss2048.pkcs8.pem");
    const RSA_1024: &[u8] = include_bytes!("testdata/rsa1024.pkcs8.pem");
    const P256_PKCS8: &[u8] = include_bytes!("testdata/p256.pkcs8.pem");
    const P256_SEC1: &[u8] = include_bytes!("testdata/p256.sec1.pem");
    const P384_PKCS8: &[u8] = include_bytes!("testdata/p384.pkcs8.pem");
    const P521_PKCS8: &[u8] = include_bytes!("testdata/p521.pkcs8.pem");
    const P256_BARE: &[u8] = include_bytes!("testdata/p256.no-public.pem");
    const ED25519_V1: &[u8] = include_bytes!("testdata/ed25519.v1.pem");
    const ED25519_V2: &[u8] = include_bytes!("testdata/ed25519.v2.pem");
    const ENCRYPTED: &[u8] = include_bytes!("testdata/p256.encrypted.pem");
    const PUBLIC: &[u8] = include_bytes!("testdata/p256.public.pem");

    fn der_of(pem: &[u8]) -> Vec<u8> {
        let text = core::str::from_utf8(pem).unwrap();
        let mut rest = text;
        let mut last = None;
        while let Some((block, after)) = first_block(rest).unwrap() {
            (last, rest) = (Some(block), after);
        }
        pem_rfc7468::decode_vec(last.unwrap().as_bytes()).unwrap().1
    }

    #[test]
    fn what_openssl_writes_is_read_in_pem_and_der() {
        for (file, algorithm) in [
            (RSA_PKCS8, Algorithm::Rs256),
            (RSA_PKCS1, Algorithm::Rs256),
            (RSA_PSS, Algorithm::Ps256),
            (P256_PKCS8, Algorithm::Es256),
            (P256_SEC1, Algorithm::Es256),
            (P384_PKCS8, Algorithm::Es384),
            (ED25519_V1, Algorithm::EdDsa),
            (ED25519_V2, Algorithm::EdDsa),
        ] {
            let key = import(file, None).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let from_der = import(&der_of(file), Some(algorithm)).unwrap();
            assert_eq!(from_der.key_id(), key.key_id());
            let stored = SigningKey::from_jwk(&key.to_private_jwk(), None).unwrap();
            assert_eq!((stored.key_id(), stored.algorithm()), (key.key_id(), algorithm));
        }
        assert_eq!(import(RSA_PKCS1, None).unwrap().key_id(), import(RSA_PKCS8, None).unwrap().key_id());
        assert_eq!(import(P256_SEC1, None).unwrap().key_id(), import(P256_PKCS8, None).unwrap().key_id());
        assert_eq!(import(ED25519_V1, None).unwrap().key_id(), import(ED25519_V2, None).unwrap().key_id());
        assert_eq!(import(RSA_PKCS8, Some(Algorithm::Ps512)).unwrap().algorithm(), Algorithm::Ps512);
    }

    #[test]
    fn rsa_signs_with_2048_3072_or_4096_bits() {
        for (file, good) in [
            (RSA_1024, false),
            (RSA_PKCS8, true),
            (include_bytes!("testdata/rsa2560.pkcs8.pem"), false),
            (include_bytes!("testdata/rsa3072.pkcs8.pem"), true),
            (include_bytes!("testdata/rsa4096.pkcs8.pem"), true),
            (include_bytes!("testdata/rsa6144.pkcs8.pem"), false),
        ] {
            let imported = import(file, None).map(|key| key.algorithm());
            let refused = Err(ImportError::Key(JwkError::Rejected));
            assert_eq!(imported, if good { Ok(Algorithm::Rs256) } else { refused }, "{} bytes", file.len());
        }
    }

    #[test]
    fn raw_octets_are_long_enough_or_refused() {
        assert_eq!(import(&[7; 32], Some(Algorithm::Hs256)).unwrap().algorithm(), Algorithm::Hs256);
        for (octets, algorithm) in
            [(&[7; 31][..], Algorithm::Hs256), (&[7; 47], Algorithm::Hs384), (&[7; 63], Algorithm::Hs512)]
        {
            assert_eq!(import(octets, Some(algorithm)).err(), Some(ImportError::Key(JwkError::Rejected)));
        }
    }

    #[test]
    fn what_will_not_do_is_named() {
        let flipped = {
            let mut der = der_of(RSA_PKCS8);
            *der.last_mut().unwrap() ^= 1;
            der
        };
        for (file, algorithm, error) in [
            (&b""[..], None, ImportError::UnknownFormat),
            (b"hello", None, ImportError::UnknownFormat),
            (&[0; MAX_BYTES + 1], None, ImportError::TooLong),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA", None, ImportError::Broken),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None, ImportError::Broken),
            (b"{}", None, ImportError::Key(JwkError::Malformed)),
            (PUBLIC, None, ImportError::NotPrivate),
            (ENCRYPTED, None, ImportError::Encrypted),
            (P256_BARE, None, ImportError::NoPublicPoint),
            (P521_PKCS8, None, ImportError::Key(JwkError::UnsupportedType)),
            (RSA_1024, None, ImportError::Key(JwkError::Rejected)),
            (&flipped, None, ImportError::Key(JwkError::Rejected)),
            (RSA_PKCS8, Some(Algorithm::Es256), ImportError::Key(JwkError::NotForThis)),
            (P256_PKCS8, Some(Algorithm::Es384), ImportError::Key(JwkError::NotForThis)),
            (ED25519_V1, Some(Algorithm::Hs256), ImportError::Key(JwkError::NotForThis)),
            (&der_of(ED25519_V1), Some(Algorithm::Hs256), ImportError::Key(JwkError::NotForThis)),
            (&der_of(RSA_PKCS1), Some(Algorithm::Hs256), ImportError::Key(JwkError::NotForThis)),
        ] {
            assert_eq!(import(file, algorithm).err(), Some(error), "{error:?}");
            assert!(error.to_string().len() > 10);
        }
    }
}
