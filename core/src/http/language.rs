//! `Accept-Language` (RFC 9110 §12.5.4), as far as two languages go.

/// The language of messages for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Language {
    /// English, the default.
    #[default]
    English,
    /// Chinese, where `Accept-Language` prefers `zh`.
    Chinese,
}

/// The ranges of the header that are read; more are ignored.
const MAX_RANGES: usize = 16;

impl Language {
    /// The preferred one of the two. A malformed or absent header means English: a message never fails for it.
    pub fn of(accept_language: Option<&str>) -> Self {
        let (mut chinese, mut english, mut any) = (None, None, 0);
        for range in accept_language.unwrap_or_default().split(',').take(MAX_RANGES) {
            let (tag, weight) = match range.split_once(';') {
                None => (range.trim(), Some(1000)),
                Some((tag, parameter)) => (tag.trim(), weight(parameter)),
            };
            let Some(weight) = weight else { continue };
            let primary = tag.split('-').next().unwrap_or_default();
            if primary.eq_ignore_ascii_case("zh") {
                chinese = chinese.max(Some(weight));
            } else if primary.eq_ignore_ascii_case("en") {
                english = english.max(Some(weight));
            } else if primary == "*" {
                any = weight;
            }
        }
        match chinese {
            Some(zh) if zh > 0 && zh > english.unwrap_or(any) => Self::Chinese,
            Some(zh) if zh > 0 && english.is_none() => Self::Chinese,
            Some(_) | None => Self::English,
        }
    }
}

/// `q=0.8` in thousandths; none where it is not a weight.
fn weight(parameter: &str) -> Option<u16> {
    let value = parameter.trim().strip_prefix("q=").or_else(|| parameter.trim().strip_prefix("Q="))?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut thousandths: u16 = 0;
    for digit in fraction.bytes().chain(core::iter::repeat(b'0')).take(3) {
        thousandths = thousandths * 10 + u16::from(digit - b'0');
    }
    match (whole, thousandths) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_language_wins() {
        use Language::{Chinese, English};
        for (header, language) in [
            (None, English),
            (Some(""), English),
            (Some("zh"), Chinese),
            (Some("zh-CN,zh;q=0.9,en;q=0.8"), Chinese),
            (Some("en,zh;q=0.9"), English),
            (Some("en;q=0.5, ZH-Hant;q=0.7"), Chinese),
            (Some("fr, zh;q=0.1"), Chinese),
            (Some("zh;q=0"), English),
            (Some("*"), English),
            (Some("zh;q=1.5"), English),
            (Some("zh;q=0.0001"), English),
            (Some(";;;,,,q="), English),
            (Some("zh, en"), English),
        ] {
            assert_eq!(Language::of(header), language, "{header:?}");
        }
    }
}
