//! Public keys as SubjectPublicKeyInfo in PEM (RFC 5280 §4.1.2.7, RFC 7468 §13).

use alloc::string::String;
use alloc::vec::Vec;

use pem_rfc7468::{LineEnding, encode_string};
use pkcs1::{RsaPublicKey, UintRef};
use pkcs8::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use pkcs8::der::{Encode, Error};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::jose::import::{EC, ED25519, P256, P384, RSA};

/// The numbers of a public key, big-endian.
pub(super) enum PublicNumbers<'a> {
    Rsa { n: &'a [u8], e: &'a [u8] },
    P256 { x: &'a [u8], y: &'a [u8] },
    P384 { x: &'a [u8], y: &'a [u8] },
    Ed25519 { x: &'a [u8] },
}

/// Returns the key in PEM, ended by a line break; none where the numbers cannot be written.
pub(super) fn to_pem(key: &PublicNumbers<'_>) -> Option<String> {
    let der = to_der(key).ok()?;
    encode_string("PUBLIC KEY", LineEnding::LF, &der).ok()
}

fn to_der(key: &PublicNumbers<'_>) -> Result<Vec<u8>, Error> {
    match key {
        // `rsaEncryption` (RFC 3279 §2.3.1), whichever padding the key signs with.
        PublicNumbers::Rsa { n, e } => {
            let key = RsaPublicKey { modulus: UintRef::new(n)?, public_exponent: UintRef::new(e)? };
            info(RSA, Some(AnyRef::NULL), &key.to_der()?)
        }
        PublicNumbers::P256 { x, y } => info(EC, Some(AnyRef::from(&P256)), &[&[4], *x, y].concat()),
        PublicNumbers::P384 { x, y } => info(EC, Some(AnyRef::from(&P384)), &[&[4], *x, y].concat()),
        // RFC 8410 §3: without parameters.
        PublicNumbers::Ed25519 { x } => info(ED25519, None, x),
    }
}

fn info(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, key: &[u8]) -> Result<Vec<u8>, Error> {
    let algorithm = AlgorithmIdentifierRef { oid, parameters };
    SubjectPublicKeyInfoRef { algorithm, subject_public_key: BitStringRef::from_bytes(key)? }.to_der()
}

#[cfg(test)]
mod tests {
    use crate::jose::import::import;

    /// Each public key was written by OpenSSL: `openssl pkey -in FILE -pubout`.
    #[test]
    fn public_keys_are_written_as_openssl_writes_them() {
        for (private, public) in [
            (&include_bytes!("testdata/rsa2048.pkcs8.pem")[..], include_str!("testdata/rsa2048.public.pem")),
            (include_bytes!("testdata/p256.pkcs8.pem"), include_str!("testdata/p256.pkcs8.public.pem")),
            (include_bytes!("testdata/p384.pkcs8.pem"), include_str!("testdata/p384.public.pem")),
            (include_bytes!("testdata/ed25519.v1.pem"), include_str!("testdata/ed25519.public.pem")),
        ] {
            assert_eq!(import(private, None).unwrap().public_pem().as_deref(), Some(public));
        }
        let shared = import(&[7; 32], Some(crate::crypto::algorithm::Algorithm::Hs256)).unwrap();
        assert_eq!(shared.public_pem(), None);
    }
}
