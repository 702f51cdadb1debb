//! The one file that names the cryptography backend.
use ring as backend;

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(backend::digest::digest(&backend::digest::SHA256, bytes).as_ref());
    out
}

/// HMAC-SHA-256 of `parts`, one after the other.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let key = backend::hmac::Key::new(backend::hmac::HMAC_SHA256, key);
    let mut context = backend::hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}
