//! A member that is misspelt. It would be ignored as an unknown one, and what it asks for would silently not be done.

use alloc::vec::Vec;

use crate::base::typing::typing_errors;

/// Names that are near a known one, and mean something else.
const OF_THEIR_OWN: &[&str] = &["client_id", "score"];

/// The shortest known name that a typing error is looked for in: among shorter ones there are too many words.
const SHORTEST: usize = 5;

/// The length of a known name from which on two typing errors are accepted.
const LONG: usize = 8;

/// Returns the one of `known` that `name` probably stands for: it differs in case, `-` and `_` alone, or by one typing error, or two
/// in a long name.
pub(crate) fn meant(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if OF_THEIR_OWN.contains(&name) {
        return None;
    }
    // Twice the length is long enough for any writing of it.
    let longest = known.iter().map(|known| known.len()).max()?;
    if name.len() > longest.saturating_mul(2) {
        return None;
    }
    let sent = letters(name);
    known.iter().copied().find(|known| is_near(&sent, &letters(known)))
}

/// Returns the characters that count, in lower case.
fn letters(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_near(sent: &[char], known: &[char]) -> bool {
    if sent == known {
        return true;
    }
    let apart = sent.len().abs_diff(known.len());
    if known.len() < SHORTEST || apart > 2 {
        return false;
    }
    // A shorter or longer name that goes on alike is another word, such as `device` beside `device_id`; but for a plural.
    let goes_on = sent.starts_with(known) || known.starts_with(sent);
    let accepted = if known.len() < LONG || goes_on { 1 } else { 2 };
    // In a short name a typing error at its beginning makes another word: `factor` beside `actor`.
    let exchanged = (sent.first(), sent.get(1)) == (known.get(1), known.first());
    let begins_alike = known.len() >= LONG || sent.first() == known.first() || exchanged;
    apart <= accepted && begins_alike && typing_errors(sent, known) <= accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: &[&str] = &[
        "user_id",
        "username",
        "ttl",
        "audience",
        "bind",
        "scope",
        "client_ip",
        "tenant_id",
        "actor",
        "reason",
        "device_id",
        "code",
    ];

    #[test]
    fn a_typing_error_is_found() {
        for (name, known) in [
            ("audiance", "audience"),
            ("audienec", "audience"),
            ("audiences", "audience"),
            ("Audience", "audience"),
            ("clientIp", "client_ip"),
            ("client-ip", "client_ip"),
            ("cleint_ip", "client_ip"),
            ("clinet_iip", "client_ip"),
            ("userId", "user_id"),
            ("user_name", "username"),
            ("usr_id", "user_id"),
            ("TTL", "ttl"),
            ("Bind", "bind"),
            ("scpoe", "scope"),
            ("scopes", "scope"),
            ("csope", "scope"),
            ("raeson", "reason"),
            ("tenantID", "tenant_id"),
            ("deviceid", "device_id"),
        ] {
            assert_eq!(meant(name, TICKET), Some(known), "{name}");
        }
    }

    #[test]
    fn another_word_is_none() {
        for name in [
            "",
            "_",
            "a",
            "client_id",
            "client_secret",
            "score",
            "store",
            "state",
            "factor",
            "person",
            "season",
            "kind",
            "find",
            "url",
            "title",
            "mode",
            "node",
            "user",
            "name",
            "users",
            "tenant",
            "device",
            "device_name",
            "nonce",
            "lang",
            "locale",
            "email",
            "phone",
            "timestamp",
            "sign",
            "token",
            "version",
            "type",
            "id",
            "codes",
            "cause",
            "date",
            "redirect_uri",
            "grant_type",
            "\u{202e}",
            "ticket",
            "remember_me",
            "captcha",
            "action",
            "origin",
        ] {
            assert_eq!(meant(name, TICKET), None, "{name}");
        }
        assert_eq!(meant(&"a".repeat(60_000), TICKET), None);
        assert_eq!(meant("anything", &[]), None);
    }
}
