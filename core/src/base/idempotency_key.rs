//! The `Idempotency-Key` header: a secret by which a request whose answer was lost may be sent again (docs/integrating.md).

use crate::base::secret::SecretText;

/// The fewest and the most characters of a key.
const LENGTHS: core::ops::RangeInclusive<usize> = 22..=128;

/// The key of one request: 22 to 128 visible ASCII characters other than `"` and `\`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(SecretText);

impl IdempotencyKey {
    /// Reads the value of the header.
    pub fn parse(value: &str) -> Option<Self> {
        let text = match value.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"')?,
            None => value,
        };
        let belongs = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let fits = LENGTHS.contains(&text.len()) && text.bytes().all(belongs);
        fits.then(|| Self(SecretText::new(text.into())))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    const KEY: &str = "0123456789abcdefghijkl";

    #[test]
    fn a_key_is_never_shown() {
        let shown = format!("{:?}", IdempotencyKey::parse(KEY));
        assert!(!shown.contains(KEY), "{shown}");
    }

    proptest! {
        /// A value is read exactly where it has the form, and then both spellings of the key are the same.
        #[test]
        fn a_value_is_a_key_exactly_where_it_has_the_form(value in "[ -~]{0,140}|\"[!-~]{20,130}\"|[!-~]{20,130}") {
            let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
            let inner = if quoted { &value[1..value.len() - 1] } else { value.as_str() };
            let graphic = inner.chars().all(|c| ('!'..='~').contains(&c) && c != '"' && c != '\\');
            let expected = (22..=128).contains(&inner.len()) && graphic;
            let read = IdempotencyKey::parse(&value);
            prop_assert_eq!(read.is_some(), expected);
            if let Some(key) = read {
                prop_assert_eq!(key.expose(), inner);
                prop_assert_eq!(IdempotencyKey::parse(&format!("\"{inner}\"")), Some(key.clone()));
                prop_assert_eq!(IdempotencyKey::parse(inner), Some(key));
            }
        }
    }
}
