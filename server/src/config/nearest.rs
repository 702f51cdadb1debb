//! The name that a misspelt one may be meant for.

use gatepass_core::base::typing::typing_errors;

/// Returns the one of `names` that `text` may be meant for: the nearest, if no more than a third of it is mistyped.
pub(super) fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters = |text: &str| text.chars().collect::<Vec<_>>();
    let written = letters(text);
    let near = names.map(|known| (typing_errors(&written, &letters(known)), known)).min()?;
    Some(near).filter(|(errors, known)| *errors <= known.len() / 3).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_may_be_mistyped() {
        for (text, meant) in [
            ("lisen", Some("listen")),
            ("lsiten", Some("listen")),
            ("trusted_proxy", Some("trusted_proxies")),
            ("head", None),
            ("heads", Some("headers")),
            ("colour", None),
            ("", None),
        ] {
            let names = ["listen", "headers", "trusted_proxies"].into_iter();
            assert_eq!(nearest(text, names), meant, "{text}");
        }
        assert_eq!(nearest("listen", std::iter::empty()), None);
    }
}
