//! Values that must not be seen: wiped when dropped, redacted in `Debug`, compared in constant time.

use alloc::{string::String, vec::Vec};
use core::fmt;
use subtle::ConstantTimeEq;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes `bytes` into custody.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves; every caller is a place to read twice.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(…)")
    }
}

/// Secret bytes of any length.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes `bytes` into custody.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves; every caller is a place to read twice.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretBytes {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

/// Secret text, such as a presented password or token.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretText(String);

impl SecretText {
    /// Takes `text` into custody.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself; every caller is a place to read twice.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the text in Unicode's normalization form C, if that differs.
    pub fn nfc(&self) -> Option<Self> {
        let text = self.expose();
        if is_nfc(text) {
            return None;
        }
        // In one piece: what a growing text leaves behind would not be wiped. The form is at most three times as long.
        let mut nfc = String::with_capacity(text.len().saturating_mul(3));
        nfc.extend(text.nfc());
        Some(Self(nfc))
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Returns true if two byte strings are equal, in time that depends on their lengths alone. Eight bytes are compared at a time.
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) = (a.as_chunks(), b.as_chunks());
    let words =
        words.iter().zip(other_words).map(|(a, b)| u64::from_ne_bytes(*a).ct_eq(&u64::from_ne_bytes(*b)));
    let same = words.fold(rest.ct_eq(other_rest), |same, word| same & word);
    a.len() == b.len() && same.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn debug_never_shows_the_value() {
        assert_eq!(format!("{:?}", Secret::new([7u8; 4])), "Secret<4>(…)");
        assert_eq!(format!("{:?}", SecretText::new("hunter2".into())), "SecretText(…)");
    }

    #[test]
    fn a_text_has_one_normal_form() {
        let nfc = |text: &str| SecretText::new(text.into()).nfc().map(|nfc| nfc.expose().into());
        for same in ["", "correct horse", "Jos\u{e9}", "密码", "\u{1f600}", "e\u{327}\u{301}x\u{fffd}"] {
            assert_eq!(nfc(same), nfc(same).filter(|form: &String| form != same), "{same}");
        }
        let changed = |text: &str| nfc(text).unwrap_or_default();
        assert_eq!(changed("Jose\u{301}"), "Jos\u{e9}");
        assert_eq!(changed("\u{212b}"), "\u{c5}");
        assert_eq!(changed("\u{1100}\u{1161}"), "\u{ac00}");
        // The longest there is: three times as long as it was.
        assert_eq!(changed("\u{1d160}").len(), 12);
    }

    #[test]
    fn equality_is_by_value() {
        assert_eq!(Secret::new([1, 2]), Secret::new([1, 2]));
        assert_ne!(Secret::new([1, 2]), Secret::new([1, 3]));
        let text = [7; 35];
        assert!(same_bytes(&text, &text) && same_bytes(b"", b""));
        for length in 0..text.len() {
            assert!(!same_bytes(&text, &text[..length]), "the first {length} bytes");
            let mut other = text;
            other[length] ^= 0x80;
            assert!(!same_bytes(&text, &other), "byte {length}");
        }
    }
}
