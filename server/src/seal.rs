//! Sealing (AES-256-GCM) and keyed hashing (HMAC-SHA-256): the one file of the server that names the
//! cryptography backend.

use ring as backend;
use zeroize::Zeroizing;

use backend::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use backend::rand::{SecureRandom, SystemRandom};

/// The system's generator, or this library, would not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BackendFailed;

/// Fresh random bytes from the system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], BackendFailed> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| BackendFailed)?;
    Ok(bytes)
}

fn aead_key(key: &[u8; 32]) -> Result<LessSafeKey, BackendFailed> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| BackendFailed)
}

/// `plain` encrypted under `key` with a random nonce in front, good for `purpose` alone: what was sealed for one
/// row does not open in the place of another. Random nonces of 96 bits suffice for 2^32 seals (NIST SP 800-38D §8.3).
pub(crate) fn seal(key: &[u8; 32], purpose: &str, plain: &[u8]) -> Result<Vec<u8>, BackendFailed> {
    let nonce: [u8; NONCE_LEN] = random()?;
    let mut text = Zeroizing::new(plain.to_vec());
    let aad = Aad::from(purpose.as_bytes());
    let tag = aead_key(key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
        .map_err(|_| BackendFailed)?;
    let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + tag.as_ref().len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(&text);
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// What [`seal`] was given, or none where the key, the purpose or a bit of it is not the same.
pub(crate) fn open(key: &[u8; 32], purpose: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let key = aead_key(key).ok()?;
    let length = key.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

/// A key for [`Mac`]s.
pub(crate) struct MacKey(backend::hmac::Key);

impl MacKey {
    /// Takes the key's bytes.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(backend::hmac::Key::new(backend::hmac::HMAC_SHA256, bytes))
    }

    /// Begins a keyed hash.
    pub(crate) fn begin(&self) -> Mac {
        Mac(backend::hmac::Context::with_key(&self.0))
    }
}

/// A keyed hash (HMAC-SHA-256) being made.
pub(crate) struct Mac(backend::hmac::Context);

impl Mac {
    /// Takes in `bytes`.
    pub(crate) fn absorb(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything taken in.
    pub(crate) fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.sign().as_ref());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_purpose_only() {
        let sealed = seal(&[1; 32], "key:a", b"secret").unwrap();
        assert_eq!(open(&[1; 32], "key:a", &sealed).unwrap().as_slice(), b"secret");
        assert!(open(&[2; 32], "key:a", &sealed).is_none());
        assert!(open(&[1; 32], "key:b", &sealed).is_none());
        for cut in 0..sealed.len() {
            assert!(open(&[1; 32], "key:a", &sealed[..cut]).is_none());
        }
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(open(&[1; 32], "key:a", &bent).is_none());
        }
        assert_ne!(seal(&[1; 32], "key:a", b"secret").unwrap(), sealed);
    }

    #[test]
    fn hmac_of_rfc_4231_case_2() {
        let mut mac = MacKey::new(b"Jefe").begin();
        mac.absorb(b"what do ya want ");
        mac.absorb(b"for nothing?");
        assert_eq!(mac.finish()[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }
}
