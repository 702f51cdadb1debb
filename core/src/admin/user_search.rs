//! A search through users by a part of what they are called.

use alloc::borrow::ToOwned;
use alloc::string::String;

use crate::records::identifier::CanonicalIdentifier;
use crate::records::user::User;

/// A text that is looked for in ids, user names, e-mail addresses, telephone numbers and names of users, whatever the case. Whoever has
/// it as an identifier, in whatever spelling, is found, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSearch {
    text: String,
    form: CanonicalIdentifier,
    /// The digits of a text that is a part of a telephone number.
    digits: Option<String>,
}

/// Fewer digits are a part of too many telephone numbers to be looked for apart.
const FEWEST_DIGITS: usize = 3;

impl UserSearch {
    /// Makes a search for a text. An empty one finds everybody.
    pub fn new(text: &str) -> Self {
        let is_number = text.chars().all(|c| c.is_ascii_digit() || "+ -.()".contains(c));
        let digits = Some(digits_of(text)).filter(|digits| is_number && digits.len() >= FEWEST_DIGITS);
        Self { text: text.trim().to_lowercase(), form: CanonicalIdentifier::of(text, None), digits }
    }

    /// Returns true if the user is among those who are looked for.
    pub fn finds(&self, user: &User) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        let has_digits = |phone: &str| {
            let wanted = self.digits.as_deref();
            wanted.is_some_and(|digits| digits_of(phone).contains(digits))
        };
        let names = [Some(user.id.as_str()), Some(user.username.as_str())];
        let others = [user.email.as_deref(), user.phone.as_deref(), user.name.as_deref()];
        names.into_iter().chain(others).flatten().any(has)
            || user.phone.as_deref().is_some_and(has_digits)
            || user.canonical_identifiers(None).any(|(_, form)| form == self.form)
    }
}

fn digits_of(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches("00").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Time;
    use crate::records::id::UserId;
    use crate::records::user::Username;

    #[test]
    fn users_are_found_by_a_part_of_any_name() {
        let id = UserId::parse("usr_AbCdEf").unwrap();
        let mut alice = User::new(id, Username::parse("alice").unwrap(), Time::from_unix(1));
        alice.email = Some("Alice@Example.com".into());
        alice.phone = Some("+86 138-0013 8000".into());
        alice.name = Some("Alice Liddell 爱丽丝".into());
        for text in [
            "",
            " alice ",
            "LIDD",
            "example.COM",
            "爱丽",
            "usr_abcd",
            "13800138000",
            "138 0013",
            "+86138",
            "008613800138000",
        ] {
            assert!(UserSearch::new(text).finds(&alice), "{text}");
        }
        let mut jose = User { email: Some("Stra\u{df}e@x".into()), ..alice.clone() };
        jose.username = Username::parse("Jos\u{e9}").unwrap();
        for text in ["Jose\u{301}", "STRASSE@X", "\u{ff0b}\u{ff18}\u{ff16}13800138000"] {
            assert!(UserSearch::new(text).finds(&jose), "{text}");
        }
        for text in ["bob", "alice x", "139", "8000138", "x138", "21"] {
            assert!(!UserSearch::new(text).finds(&alice), "{text}");
        }
    }
}
