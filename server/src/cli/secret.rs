//! Client secrets: made here, or brought along.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatepass_core::base::time::Time;
use gatepass_core::records::client::{Client, ClientSecret, SecretDigest};
use zeroize::Zeroizing;

use super::edit::stdin;
use crate::error::ProgramError;
use crate::secrets::random::random;

/// The longest secret that is imported, in bytes.
const MAX_BYTES: usize = 1024;

/// A new client secret: `gps_` and 256 bits in base64url.
pub(crate) fn generate() -> Result<Zeroizing<String>, ProgramError> {
    let bits = random::<32>()?;
    let mut text = Zeroizing::new(String::with_capacity(4 + 43));
    text.push_str("gps_");
    URL_SAFE_NO_PAD.encode_string(*bits, &mut text);
    Ok(text)
}

/// A secret from standard input.
pub(super) fn import() -> Result<Zeroizing<String>, ProgramError> {
    let text = stdin("the secret", MAX_BYTES)?;
    if text.chars().count() < Client::MIN_SECRET_CHARS {
        return Err(ProgramError::usage(format!(
            "a secret has {} characters at least: leave out --secret-stdin to have one made",
            Client::MIN_SECRET_CHARS
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(ProgramError::usage("a secret is one line without control characters"));
    }
    Ok(text)
}

/// What the store keeps of `text`, good from `now` on.
pub(crate) fn kept(text: &str, now: Time) -> ClientSecret {
    ClientSecret { digest: SecretDigest::of(text), created_at: now, expires_at: None }
}
