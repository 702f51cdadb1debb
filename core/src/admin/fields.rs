//! The values of a request: left alone, cleared or set.

use alloc::string::{String, ToString};

use serde_json::Value;

use crate::admin::error::{AdminError, Field, Invalid};
use crate::records::factor::AskFactor;
use crate::records::identifier::{IdentifierKind, hidden};
use crate::records::user::{Gender, User};

/// The longest e-mail address, in characters.
const MAX_EMAIL: usize = 254;
/// The longest telephone number, in characters.
const MAX_PHONE: usize = 64;
/// The longest full name, in characters.
const MAX_NAME: usize = 256;
/// The longest address, in bytes of JSON, and the deepest.
const MAX_ADDRESS: usize = 4096;
const MAX_DEPTH: usize = 16;

/// A change to one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Edit<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes this one, or is cleared.
    Set(T),
}

impl<T: Clone> Edit<T> {
    /// Applies the change to `value`.
    pub(super) fn apply(&self, value: &mut T) {
        if let Self::Set(new) = self {
            value.clone_from(new);
        }
    }
}

/// Reads a plain text of at most `longest` characters, without spaces at its ends. An empty one is none.
///
/// # Errors
/// [`Invalid::NotPlain`] where it is longer, or has a control character.
pub(super) fn plain(field: Field, given: &str, longest: usize) -> Result<Option<String>, AdminError> {
    if given.chars().any(char::is_control) || given.chars().count() > longest {
        return Err(AdminError::Invalid { field, reason: Invalid::NotPlain { longest } });
    }
    Ok(Some(given.trim().to_string()).filter(|text| !text.is_empty()))
}

/// Reads a plain text in which every character is seen.
fn identifier(field: Field, given: &str, longest: usize) -> Result<Option<String>, AdminError> {
    let text = plain(field, given, longest)?;
    match text.as_deref().and_then(hidden) {
        Some(character) => Err(AdminError::Invalid { field, reason: Invalid::Hidden(character) }),
        None => Ok(text),
    }
}

/// The values of a user that an administrator may set. Those that are not named stay as they are; an empty text clears.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct UserFields {
    email: Edit<Option<String>>,
    phone: Edit<Option<String>>,
    name: Edit<Option<String>>,
    gender: Edit<Option<Gender>>,
    address: Edit<Option<String>>,
    second_factor: Edit<Option<AskFactor>>,
}

impl core::fmt::Debug for UserFields {
    /// Shows nothing: personal data stays out of logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("UserFields(…)")
    }
}

impl UserFields {
    /// Sets the e-mail address.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is longer than 254 characters, has an invisible character or no `@`.
    pub fn email(self, given: &str) -> Result<Self, AdminError> {
        let email = identifier(Field::Email, given, MAX_EMAIL)?;
        if email.as_ref().is_some_and(|email| !email.contains('@')) {
            return Err(AdminError::Invalid { field: Field::Email, reason: Invalid::NoAtSign });
        }
        Ok(Self { email: Edit::Set(email), ..self })
    }

    /// Sets the telephone number.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is longer than 64 characters, or has an invisible character.
    pub fn phone(self, given: &str) -> Result<Self, AdminError> {
        Ok(Self { phone: Edit::Set(identifier(Field::Phone, given, MAX_PHONE)?), ..self })
    }

    /// Sets the full name.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is longer than 256 characters, or has a control character.
    pub fn name(self, given: &str) -> Result<Self, AdminError> {
        Ok(Self { name: Edit::Set(plain(Field::Name, given, MAX_NAME)?), ..self })
    }

    /// Sets the gender, or clears it.
    #[must_use]
    pub fn gender(self, gender: Option<Gender>) -> Self {
        Self { gender: Edit::Set(gender), ..self }
    }

    /// Sets the address to any JSON value; `null` clears it.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is over 4096 bytes, or nested deeper than 16.
    pub fn address(self, value: &Value) -> Result<Self, AdminError> {
        let text = value.to_string();
        if text.len() > MAX_ADDRESS || depth(value) > MAX_DEPTH {
            let reason = Invalid::TooLarge { bytes: MAX_ADDRESS, depth: MAX_DEPTH };
            return Err(AdminError::Invalid { field: Field::Address, reason });
        }
        Ok(Self { address: Edit::Set((!value.is_null()).then_some(text)), ..self })
    }

    /// Sets when the user is asked for a second factor; none: as everybody is.
    #[must_use]
    pub fn second_factor(self, ask: Option<AskFactor>) -> Self {
        Self { second_factor: Edit::Set(ask), ..self }
    }

    /// Returns the identifiers that are set.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = (IdentifierKind, &str)> {
        let set = [(IdentifierKind::Email, &self.email), (IdentifierKind::Phone, &self.phone)];
        set.into_iter().filter_map(|(kind, edit)| match edit {
            Edit::Set(Some(text)) => Some((kind, text.as_str())),
            Edit::Set(None) | Edit::Keep => None,
        })
    }

    /// Applies what is named to `user`.
    pub(super) fn apply(&self, user: &mut User) {
        self.email.apply(&mut user.email);
        self.phone.apply(&mut user.phone);
        self.name.apply(&mut user.name);
        self.gender.apply(&mut user.gender);
        self.address.apply(&mut user.address);
        self.second_factor.apply(&mut user.second_factor);
    }
}

fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    deepest.unwrap_or_default().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Time;
    use crate::records::id::UserId;
    use crate::records::user::Username;
    use serde_json::json;

    fn blank() -> User {
        let id = UserId::parse("usr_alice").unwrap();
        User::new(id, Username::parse("alice").unwrap(), Time::from_unix(1))
    }

    #[test]
    fn fields_are_set_cleared_or_left_alone() {
        let mut user = blank();
        let fields = UserFields::default().email("a@example.com").unwrap().gender(Some(Gender::Female));
        let fields = fields.address(&json!({"b": [1, 2]})).unwrap().phone(" 1 ").unwrap();
        fields.apply(&mut user);
        assert_eq!(user.address.as_deref(), Some(r#"{"b":[1,2]}"#));
        assert_eq!((user.gender, user.phone.as_deref()), (Some(Gender::Female), Some("1")));
        let before = user.clone();
        UserFields::default().apply(&mut user);
        assert!(user == before);
        let clear = UserFields::default().email(" ").unwrap().gender(None).phone("").unwrap();
        clear.address(&Value::Null).unwrap().apply(&mut user);
        assert!(user == blank());
    }

    #[test]
    fn values_that_break_a_rule_are_refused() {
        let none = UserFields::default;
        let refused = |fields: Result<UserFields, AdminError>| match fields {
            Err(AdminError::Invalid { field, reason }) => (field, reason),
            other => panic!("{other:?}"),
        };
        let plain = |longest| Invalid::NotPlain { longest };
        assert_eq!(refused(none().email("nobody")), (Field::Email, Invalid::NoAtSign));
        assert_eq!(refused(none().phone("1\n2")), (Field::Phone, plain(64)));
        for (text, character) in
            [("a\u{200b}@b", '\u{200b}'), ("a@b\u{202e}", '\u{202e}'), ("a@b\u{2028}c", '\u{2028}')]
        {
            assert_eq!(refused(none().email(text)), (Field::Email, Invalid::Hidden(character)));
            assert_eq!(refused(none().phone(text)), (Field::Phone, Invalid::Hidden(character)));
        }
        assert!(none().name(&"名".repeat(256)).is_ok());
        assert_eq!(refused(none().name(&"名".repeat(257))), (Field::Name, plain(256)));
        let nested = |times| (0..times).fold(json!(1), |value, _| json!([value]));
        assert!(none().address(&nested(16)).is_ok());
        let large = Invalid::TooLarge { bytes: 4096, depth: 16 };
        assert_eq!(refused(none().address(&nested(17))), (Field::Address, large.clone()));
        assert_eq!(refused(none().address(&json!("x".repeat(4095)))), (Field::Address, large));
    }
}
