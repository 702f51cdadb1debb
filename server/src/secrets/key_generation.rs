//! New signing keys, made with nothing beside the binary.

use crypto_bigint::{BoxedUint, ConcatenatingMul, Gcd, NonZero, Resize};
use crypto_primes::fips::{FipsOptions, is_prime};
use crypto_primes::hazmat::{SetBits, SmallFactorsSieveFactory};
use crypto_primes::{Flavor, sieve_and_find};
use gatepass_core::crypto::algorithm::{Algorithm, KeyType};
use gatepass_core::crypto::generate_ec_pkcs8;
use gatepass_core::jose::import::import;
use gatepass_core::jose::jwk::{Jwk, RsaPrivate};
use gatepass_core::jose::key::SigningKey;
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use zeroize::Zeroizing;

use super::SecretsError;

/// The size of a new RSA modulus, in bits.
pub const RSA_BITS: u32 = 2048;

/// Returns a new key for `algorithm`: RSA of [`RSA_BITS`], a curve's, or a shared secret of 512 bits.
///
/// # Errors
/// [`SecretsError::NoKey`] if the random generator or the backend fails.
pub fn generate(algorithm: Algorithm) -> Result<SigningKey, SecretsError> {
    let mut random = Zeroizing::new([0; 64]);
    getrandom::fill(&mut *random).map_err(|_| SecretsError::NoKey)?;
    let jwk = match algorithm.key_type() {
        KeyType::Rsa => rsa(RSA_BITS)?,
        KeyType::Ed25519 => {
            Jwk::from_ed25519_seed(random.get(..32).unwrap_or_default()).map_err(|_| SecretsError::NoKey)?
        }
        // As long as the longest hash: enough for every one of them.
        KeyType::Octets => Jwk::from_octets(&*random),
        KeyType::P256 | KeyType::P384 => {
            let pkcs8 = generate_ec_pkcs8(algorithm).ok_or(SecretsError::NoKey)?;
            return import(&pkcs8, Some(algorithm)).map_err(|_| SecretsError::NoKey);
        }
    };
    // Binding a key to its algorithm signs and verifies once, so an inconsistent pair is never returned.
    SigningKey::new(jwk, Some(algorithm)).map_err(|_| SecretsError::NoKey)
}

/// Returns an RSA pair by FIPS 186-5 §A.1.3: two random primes of half the length, their two highest bits set, far
/// apart, and e = 65537.
fn rsa(bits: u32) -> Result<Jwk, SecretsError> {
    let half = bits / 2;
    let one = BoxedUint::one_with_precision(half);
    let e = BoxedUint::from(65_537u32).resize(half);
    loop {
        let (p, q) = (prime(half)?, prime(half)?);
        let (p, q) = if p > q { (p, q) } else { (q, p) };
        // FIPS 186-5 §A.1.3, step 5.4: |p - q| > 2^(half - 100).
        if p.wrapping_sub(&q).bits() <= half - 100 {
            continue;
        }
        let (p1, q1) = (p.wrapping_sub(&one), q.wrapping_sub(&one));
        let inverse = |of: &BoxedUint, modulus: &BoxedUint| -> Option<BoxedUint> {
            let modulus: Option<NonZero<BoxedUint>> = modulus.to_nz().into();
            of.invert_mod(&modulus?).into()
        };
        // λ(n) = lcm(p - 1, q - 1); e has no inverse where it divides one of them.
        let lambda = lcm(&p1, &q1).ok_or(SecretsError::NoKey)?;
        let (Some(d), Some(dp), Some(dq), Some(qi)) =
            (inverse(&(&e).resize(bits), &lambda), inverse(&e, &p1), inverse(&e, &q1), inverse(&q, &p))
        else {
            continue;
        };
        let number = |n: &BoxedUint| Zeroizing::new(n.to_be_bytes_trimmed_vartime().to_vec());
        let private = RsaPrivate {
            d: number(&d),
            p: number(&p),
            q: number(&q),
            dp: number(&dp),
            dq: number(&dq),
            qi: number(&qi),
        };
        return Ok(Jwk::from_rsa(number(&p.concatenating_mul(&q)).to_vec(), vec![1, 0, 1], private));
    }
}

fn lcm(a: &BoxedUint, b: &BoxedUint) -> Option<BoxedUint> {
    let gcd: Option<NonZero<BoxedUint>> = a.gcd(b).to_nz().into();
    Some(a.div_rem(&gcd?).0.concatenating_mul(b))
}

fn prime(bits: u32) -> Result<BoxedUint, SecretsError> {
    // An error bound of 2^-112 is what FIPS 186-5 §B.3 asks of a 2048-bit key, and 2^-144 of a larger one.
    let options = FipsOptions::with_error_bound(bits, 144).ok_or(SecretsError::NoKey)?.with_lucas_test();
    let sieve = SmallFactorsSieveFactory::<BoxedUint>::new(Flavor::Any, bits, SetBits::TwoMsb)
        .map_err(|_| SecretsError::NoKey)?;
    sieve_and_find(&mut UnwrapErr(SysRng), sieve, |rng, candidate| {
        is_prime(rng, Flavor::Any, candidate, options)
    })
    .map_err(|_| SecretsError::NoKey)?
    .ok_or(SecretsError::NoKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatepass_core::jose::jws::Compact;

    #[test]
    fn every_algorithm_has_keys_that_sign() {
        for &algorithm in Algorithm::ALL {
            let key = generate(algorithm).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let token = key.sign("JWT", b"{}").unwrap();
            let jws = Compact::parse(&token).unwrap();
            assert!(key.verifying_key().unwrap().verify(&jws).is_ok(), "{algorithm}");
        }
    }

    #[test]
    fn no_two_keys_are_alike() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
            assert_ne!(generate(algorithm).unwrap().key_id(), generate(algorithm).unwrap().key_id());
        }
    }
}
