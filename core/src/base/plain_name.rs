//! A name that a caller made up, as far as an answer may repeat it.

use alloc::string::String;

/// The longest name that is repeated, in bytes. Secrets of ours are longer.
const LONGEST: usize = 32;

/// Returns `name` if it reads like the name of a member, a parameter or a header: a letter, then letters, digits and `_.-`. Anything
/// else may be a secret in the wrong place, or forge the text around it.
pub(crate) fn plain_name(name: &str) -> Option<String> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    (begins && name.len() <= LONGEST && name.bytes().all(inside)).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for (name, plain) in [
            ("scope", true),
            ("x-device_id.2", true),
            ("", false),
            ("2fa", false),
            ("a b", false),
            ("a\u{202e}b", false),
            ("a\"", false),
            ("tkt_0123456789012345678901234567890123456789012", false),
        ] {
            assert_eq!(plain_name(name).is_some(), plain, "{name}");
        }
    }
}
