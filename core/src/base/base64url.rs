//! base64url without padding (RFC 7515 §2), one spelling for every value.

use alloc::{string::String, vec::Vec};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The bytes of `text`; none where it has padding, white space, another alphabet, or stray bits at its end.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends what [`encode`] makes.
pub(crate) fn encode_to(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// `prefix` and what [`encode`] makes. There is room for it at once, so that no copy of a secret is left behind.
pub(crate) fn prefixed(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4);
    text.push_str(prefix);
    encode_to(&mut text, bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        assert_eq!(decode("AQ").as_deref(), Some(&[1][..]));
        assert_eq!(decode("-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        for bad in ["AQ==", "AQ=", "AR", "A", "+/8", "A Q", "AQ\n", "AQ?"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
