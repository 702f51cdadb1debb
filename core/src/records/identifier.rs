//! The identifiers of people: user names, e-mail addresses and telephone numbers, and the one form in which they are compared.
//! They share one key space, so that a text never names two people.

use alloc::string::String;
use core::fmt;

use unicase::UniCase;
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::general_security_profile::{GeneralSecurityProfile as _, IdentifierType};

/// The kind of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdentifierKind {
    /// The user name.
    Username,
    /// The e-mail address.
    Email,
    /// The telephone number.
    Phone,
}

impl IdentifierKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Username, Self::Email, Self::Phone];

    /// Returns `username`, `email` or `phone`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// Reads `username`, `email` or `phone`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Username => "user name",
            Self::Email => "e-mail address",
            Self::Phone => "telephone number",
        })
    }
}

/// The form in which identifiers are compared. Two texts with the same one name the same person.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanonicalIdentifier(String);

impl CanonicalIdentifier {
    /// The longest text that is changed, in bytes. No identifier is longer, so a longer text names nobody as it is, and the work has
    /// a bound.
    const LONGEST: usize = 1024;
    /// The fewest digits of a telephone number. A text of fewer digits is compared as it is.
    const FEWEST_DIGITS: usize = 5;

    /// Changes whenever the same text gets another form: with the rules here, or with the version of Unicode. A store that keeps
    /// canonical forms makes them anew then.
    pub const RULES: (u8, (u8, u8, u8)) = (1, unicode_normalization::UNICODE_VERSION);

    /// Returns the canonical form of `text`: without white space at its ends and in Unicode's form NFC. With an `@`, the case of
    /// letters does not matter. Of a telephone number, the digits are left, and a leading `+`.
    pub fn of(text: &str, plan: Option<&NumberingPlan>) -> Self {
        let text = text.trim();
        if text.len() > Self::LONGEST {
            return Self(text.into());
        }
        Self(if text.contains('@') { folded(text) } else { digits(text, plan).unwrap_or_else(|| nfc(text)) })
    }

    /// Takes a text that [`CanonicalIdentifier::of`] made.
    pub const fn known(text: String) -> Self {
        Self(text)
    }

    /// Returns the form as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CanonicalIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CanonicalIdentifier(…)")
    }
}

fn nfc(text: &str) -> String {
    if text.is_ascii() { text.into() } else { text.nfc().collect() }
}

fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let folded = UniCase::unicode(nfc(text)).to_folded_case();
    nfc(&folded)
}

/// Returns the digits of a telephone number, and a leading `+`; none if `text` is something else.
fn digits(text: &str, plan: Option<&NumberingPlan>) -> Option<String> {
    let (mut digits, mut is_international) = (String::new(), false);
    for character in text.chars().map(half_width) {
        match character {
            '0'..='9' => digits.push(character),
            '+' if digits.is_empty() && !is_international => is_international = true,
            ' ' | '-' | '.' | '(' | ')' => {}
            _ => return None,
        }
    }
    if digits.len() < CanonicalIdentifier::FEWEST_DIGITS {
        return None;
    }
    if is_international {
        digits.insert(0, '+');
    } else if let Some(number) = digits.strip_prefix("00") {
        digits = alloc::format!("+{number}");
    } else if let Some(NumberingPlan { country, trunk }) = plan {
        let number = digits.strip_prefix(trunk.as_str()).unwrap_or(&digits);
        digits = alloc::format!("+{country}{number}");
    }
    Some(digits)
}

/// Returns the ASCII character of a full-width one. The two blocks are in the same order.
fn half_width(character: char) -> char {
    match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        '\u{3000}' => ' ',
        _ => character,
    }
}

/// Returns the first character of `text` that an identifier does not contain: one that is not seen (a control character, a default
/// ignorable one, a bidirectional control, white space but for a plain or an ideographic space), is deprecated, or has no meaning.
pub(crate) fn hidden(text: &str) -> Option<char> {
    let is_hidden = |character: &char| match character {
        ' '..='~' | '\u{3000}' => false,
        _ => {
            character.is_control()
                || character.is_whitespace()
                || matches!(
                    character.identifier_type(),
                    None | Some(IdentifierType::Default_Ignorable | IdentifierType::Deprecated)
                )
        }
    };
    text.chars().find(is_hidden)
}

/// The country whose telephone numbers are written without its code: `49`, or `49/0`. The digit or digits after the stroke are the
/// trunk prefix, which is dialled within the country alone: `030 123456` is `+49 30 123456`. It is `0` unless given, and none after a
/// bare stroke: `39/` for Italy, where the `0` belongs to the number, `7/8` for Russia, `1/1` for North America.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberingPlan {
    country: String,
    trunk: String,
}

/// A text that is no [`NumberingPlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberingPlanError;

impl fmt::Display for NumberingPlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a country is the 1 to 3 digits of its calling code, as 49, and its trunk prefix after a stroke where that is not 0, as 7/8",
        )
    }
}

impl core::error::Error for NumberingPlanError {}

impl NumberingPlan {
    /// Reads a calling code, and a trunk prefix after a stroke.
    ///
    /// # Errors
    /// [`NumberingPlanError`] where the code is not 1 to 3 digits, the first of them not 0, or the prefix more than 2 digits.
    pub fn parse(text: &str) -> Result<Self, NumberingPlanError> {
        let (country, trunk) = text.split_once('/').unwrap_or((text, "0"));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let good = (1..=3).contains(&country.len())
            && are_digits(country)
            && !country.starts_with('0')
            && trunk.len() <= 2
            && are_digits(trunk);
        if good { Ok(Self { country: country.into(), trunk: trunk.into() }) } else { Err(NumberingPlanError) }
    }
}

impl fmt::Display for NumberingPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.country, self.trunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    fn plan(text: &str) -> NumberingPlan {
        NumberingPlan::parse(text).unwrap()
    }

    fn of(text: &str) -> String {
        CanonicalIdentifier::of(text, None).0
    }

    #[test]
    fn texts_and_their_forms() {
        let long = "x@".repeat(600);
        for (text, form) in [
            ("", ""),
            (" alice\t", "alice"),
            ("Alice", "Alice"),
            ("Alice@Example.COM", "alice@example.com"),
            ("Jose\u{301}", "Jos\u{e9}"),
            ("JOSE\u{301}@example.com", "jos\u{e9}@example.com"),
            ("STRASSE@x", "strasse@x"),
            ("Stra\u{df}e@x", "strasse@x"),
            ("\u{3a3}\u{391}\u{3a3}@x", "\u{3c3}\u{3b1}\u{3c3}@x"),
            ("\u{3c3}\u{3b1}\u{3c2}@x", "\u{3c3}\u{3b1}\u{3c3}@x"),
            ("\u{5f20}\u{4f1f}", "\u{5f20}\u{4f1f}"),
            ("+86 138 0013 8000", "+8613800138000"),
            ("(+86) 138-0013.8000", "+8613800138000"),
            ("0086 13800138000", "+8613800138000"),
            ("13800138000", "13800138000"),
            ("138 0013 8000", "13800138000"),
            ("\u{ff0b}\u{ff18}\u{ff16}\u{3000}\u{ff11}\u{ff13}\u{ff18} 0013 8000", "+8613800138000"),
            ("1234", "1234"),
            ("1-2-3-4", "1-2-3-4"),
            ("12345", "12345"),
            ("12+345", "12+345"),
            ("++12345", "++12345"),
            ("+1 2345 6x", "+1 2345 6x"),
            ("12\u{200b}345", "12\u{200b}345"),
            (&long.to_uppercase(), &long.to_uppercase()),
        ] {
            assert_eq!(of(text), form, "{text:?}");
        }
    }

    #[test]
    fn a_national_number_gets_its_country() {
        let form = |text: &str, country: &str| CanonicalIdentifier::of(text, Some(&plan(country))).0;
        for (text, country, expected) in [
            ("13800138000", "86", "+8613800138000"),
            ("+86 138 0013 8000", "86", "+8613800138000"),
            ("0049 30 123456", "86", "+4930123456"),
            ("030 123456", "49", "+4930123456"),
            ("30 123456", "49/0", "+4930123456"),
            ("06 698 12345", "39/", "+390669812345"),
            ("8 912 345 67 89", "7/8", "+79123456789"),
            ("(06-1) 234 567", "36/06", "+361234567"),
            ("1 415 555 2671", "1/1", "+14155552671"),
            ("1234", "86", "1234"),
            ("12345@example.com", "86", "12345@example.com"),
        ] {
            assert_eq!(form(text, country), expected, "{text:?} in {country}");
        }
        for bad in ["", "0", "049", "1234", "+49", "4 9", "49/012", "49/0/1", "\u{664}\u{669}"] {
            assert_eq!(NumberingPlan::parse(bad), Err(NumberingPlanError), "{bad:?}");
        }
        assert_eq!([plan("49"), plan("39/")].map(|plan| plan.to_string()), ["49/0", "39/"]);
    }

    #[test]
    fn characters_that_are_not_seen_are_found() {
        for good in [
            "alice",
            "Jos\u{e9}",
            "Jose\u{301}",
            "\u{5f20}\u{3000}\u{4f1f}",
            "a b",
            "\u{1f600}",
            "+86 (1)",
            "~!@#",
        ] {
            assert_eq!(hidden(good), None, "{good:?}");
        }
        let ranges = [
            0..=0x1f,
            0x7f..=0xa0,
            0xad..=0xad,
            0x34f..=0x34f,
            0x61c..=0x61c,
            0x115f..=0x1160,
            0x17b4..=0x17b5,
            0x180b..=0x180f,
            0x2000..=0x200f,
            0x2028..=0x202f,
            0x205f..=0x206f,
            0x3164..=0x3164,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff0..=0xfff8,
            0x1_bca0..=0x1_bca3,
            0x1_d173..=0x1_d17a,
            0xe_0000..=0xe_0fff,
        ];
        for bad in ranges.into_iter().flatten().filter_map(char::from_u32) {
            assert_eq!(hidden(&alloc::format!("a{bad}b")), Some(bad), "U+{:04X}", u32::from(bad));
        }
    }

    #[test]
    fn every_character_has_one_form() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32) {
            for text in [alloc::format!("{character}"), alloc::format!("@{character}\u{345}\u{301}")] {
                let form = of(&text);
                assert_eq!(of(&form), form, "U+{:04X}", u32::from(character));
            }
        }
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself(
            text in prop_oneof!["\\PC{0,40}", "[ 0-9+().\u{ff10}-\u{ff19}\u{ff0b}-]{0,20}", "[@A-Za-z\u{300}-\u{345}\u{390}-\u{3ff}]{0,20}"],
            country in prop_oneof![Just(None), "[1-9][0-9]{0,2}(/[0-9]{0,2})?".prop_map(|text| Some(plan(&text)))],
        ) {
            let form = CanonicalIdentifier::of(&text, country.as_ref());
            prop_assert_eq!(&CanonicalIdentifier::of(form.as_str(), country.as_ref()), &form);
            let spaced = alloc::format!(" \u{3000}{text}\n");
            prop_assert_eq!(CanonicalIdentifier::of(&spaced, country.as_ref()), form.clone());
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(CanonicalIdentifier::of(&decomposed, country.as_ref()), form);
        }
    }
}
