//! A person with an account.

use alloc::string::String;
use core::fmt;

use crate::base::time::Time;
use crate::records::factor::AskFactor;
use crate::records::id::UserId;
use crate::records::identifier::{CanonicalIdentifier, IdentifierKind, NumberingPlan, hidden};
use crate::records::role::Roles;

/// A person with an account. `None` means unknown; an empty text is never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The `sub` of this person's tokens.
    pub id: UserId,
    /// The name they sign in with; never begins with [`User::ID_PREFIX`]. No other user has the same identifier, of whatever kind.
    pub username: Username,
    /// E-mail address, as entered.
    pub email: Option<String>,
    /// Telephone number, as entered.
    pub phone: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// Gender, as the origin document has it.
    pub gender: Option<Gender>,
    /// Any JSON value, as text.
    pub address: Option<String>,
    /// The status: whether the person may sign in.
    pub status: Status,
    /// True if the password has to be changed.
    pub must_change_password: bool,
    /// The time when the password was set; none without a password.
    pub password_changed_at: Option<Time>,
    /// The rule about second factors for this person; none takes the setting.
    pub second_factor: Option<AskFactor>,
    /// The roles: what the person may administer over HTTP.
    pub roles: Roles,
    /// The time when the account was made.
    pub created_at: Time,
    /// The time of the last change of the account.
    pub updated_at: Time,
    /// Raised to end every session of this person: a session of another epoch is over.
    pub epoch: u64,
    /// Raised by every update of the record, so that two editors do not overwrite each other.
    pub revision: u64,
}

/// The status of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The person may sign in.
    Active,
    /// The person may not sign in, and has no session.
    Disabled,
}

impl Status {
    /// `active` or `disabled`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Reads `active` or `disabled`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "disabled" => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// Gender, as the origin document has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    /// `female`
    Female,
    /// `male`
    Male,
}

impl Gender {
    /// `female` or `male`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
        }
    }

    /// Reads `female` or `male`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "female" => Some(Self::Female),
            "male" => Some(Self::Male),
            _ => None,
        }
    }
}

/// The name a person signs in with: 1–128 characters, none of them invisible, no space at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Username(String);

/// The reason why a text cannot be a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsernameError {
    /// It is empty, too long, has a control character or a space at an end, or could be mistaken for an id.
    Malformed,
    /// It has this character, which is not seen.
    Hidden(char),
}

impl fmt::Display for UsernameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => write!(
                f,
                "a user name is 1 to {} characters, none of them a control character, no space at either end, not beginning with {}",
                Username::MAX_CHARS,
                User::ID_PREFIX
            ),
            Self::Hidden(character) => {
                write!(f, "it has the character U+{:04X}, which is not seen", u32::from(*character))
            }
        }
    }
}

impl core::error::Error for UsernameError {}

impl Username {
    /// The longest user name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Reads a user name that somebody is to get.
    ///
    /// # Errors
    /// [`UsernameError`] where it is empty, too long, has invisible characters or outer spaces, or could be mistaken for an id.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        let name = Self::stored(text)?;
        hidden(text).map_or(Ok(name), |character| Err(UsernameError::Hidden(character)))
    }

    /// Reads a user name that a store holds. It may be from before invisible characters were refused.
    ///
    /// # Errors
    /// [`UsernameError`] where it is empty, too long, has control characters or outer spaces, or could be mistaken for an id.
    pub fn stored(text: &str) -> Result<Self, UsernameError> {
        let plain = (1..=Self::MAX_CHARS).contains(&text.chars().count())
            && !text.chars().any(char::is_control)
            && text.trim() == text
            && !text.starts_with(User::ID_PREFIX);
        if plain { Ok(Self(text.into())) } else { Err(UsernameError::Malformed) }
    }

    /// Takes a text that is known to be a user name.
    #[cfg(feature = "check")]
    pub(crate) const fn known(text: String) -> Self {
        Self(text)
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl User {
    /// The prefix of generated identifiers.
    pub const ID_PREFIX: &str = "usr_";

    /// Makes an active user of whom nothing but the user name is known, to be inserted by
    /// `Change::InsertUser`. `id` should be [`User::ID_PREFIX`] and random characters.
    pub const fn new(id: UserId, username: Username, created_at: Time) -> Self {
        Self {
            id,
            username,
            email: None,
            phone: None,
            name: None,
            gender: None,
            address: None,
            status: Status::Active,
            must_change_password: false,
            password_changed_at: None,
            second_factor: None,
            roles: Roles::NONE,
            created_at,
            updated_at: created_at,
            epoch: 0,
            revision: 0,
        }
    }

    /// Returns the texts that name this person beside the id, in the order of [`IdentifierKind::ALL`].
    pub fn identifiers(&self) -> impl Iterator<Item = (IdentifierKind, &str)> {
        let texts = [Some(self.username.as_str()), self.email.as_deref(), self.phone.as_deref()];
        IdentifierKind::ALL.into_iter().zip(texts).filter_map(|(kind, text)| Some((kind, text?)))
    }

    /// Returns the canonical form of each identifier.
    pub fn canonical_identifiers(
        &self,
        plan: Option<&NumberingPlan>,
    ) -> impl Iterator<Item = (IdentifierKind, CanonicalIdentifier)> {
        self.identifiers().map(move |(kind, text)| (kind, CanonicalIdentifier::of(text, plan)))
    }

    /// Returns true if this person may sign in.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// Disables the account, and ends its sessions.
    pub fn disable(&mut self) {
        self.status = Status::Disabled;
        self.end_sessions();
    }

    /// Enables the account again. Sessions that were ended stay ended.
    pub fn enable(&mut self) {
        self.status = Status::Active;
    }

    /// Requires a new password before anything else, and ends the sessions.
    pub fn require_password_change(&mut self) {
        self.must_change_password = true;
        self.end_sessions();
    }

    /// Records that the password was set at `now`, and ends the sessions.
    pub fn set_password(&mut self, now: Time) {
        self.must_change_password = false;
        self.password_changed_at = Some(now);
        self.end_sessions();
    }

    /// Gives the person exactly these roles. If they are others than before, the sessions end.
    pub fn set_roles(&mut self, roles: Roles) {
        if self.roles != roles {
            self.roles = roles;
            self.end_sessions();
        }
    }

    /// Ends every session this person has.
    pub fn end_sessions(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
    }
}

impl fmt::Debug for User {
    /// The identifier and what decides; personal data stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("roles", &self.roles)
            .field("epoch", &self.epoch)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_user_name() {
        let longest = "名".repeat(128);
        for good in ["alice", "张伟", "a b", "alice@example.com", &longest] {
            assert!(Username::parse(good).is_ok(), "{good}");
        }
        let too_long = "名".repeat(129);
        for bad in ["", " a", "a ", "a\nb", "a\0", "usr_abc", &too_long] {
            assert_eq!(Username::parse(bad), Err(UsernameError::Malformed), "{bad:?}");
        }
        for bad in ['\u{200b}', '\u{202e}', '\u{2028}', '\u{feff}', '\u{a0}'] {
            let name = alloc::format!("a{bad}b");
            assert_eq!(Username::parse(&name), Err(UsernameError::Hidden(bad)), "{bad:?}");
            assert!(Username::stored(&name).is_ok());
        }
    }
}
