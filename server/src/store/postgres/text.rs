//! Text with the character NUL, which PostgreSQL refuses in any text: it is kept as two others. Without that, one such text would fail
//! everything that is written or read with it in one round trip.

use std::borrow::Cow;

/// Begins the two characters that stand for NUL, or for this one itself: a character for private use.
const ESCAPE: char = '\u{E000}';

/// Returns `text` as the database keeps it. Different texts stay different.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', ESCAPE]) {
        text.replace(ESCAPE, "\u{E000}e").replace('\0', "\u{E000}0").into()
    } else {
        text.into()
    }
}

/// Returns the text that the database keeps as `stored`.
pub(super) fn original(stored: &str) -> Cow<'_, str> {
    if stored.contains(ESCAPE) {
        stored.replace("\u{E000}0", "\0").replace("\u{E000}e", "\u{E000}").into()
    } else {
        stored.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_kept_without_nul_and_comes_back() {
        let parts = ["", "a", "0", "e", "\0", "\u{E000}", "\u{E001}"];
        let mut seen = std::collections::BTreeSet::new();
        for text in
            parts.iter().flat_map(|a| parts.iter().flat_map(move |b| parts.map(|c| format!("{a}{b}{c}"))))
        {
            let kept = stored(&text);
            assert!(!kept.contains('\0') && original(&kept) == text, "{text:?}");
            seen.insert((kept.into_owned(), text));
        }
        let kept: std::collections::BTreeSet<_> = seen.iter().map(|(kept, _)| kept).collect();
        assert_eq!(kept.len(), seen.len());
    }
}
