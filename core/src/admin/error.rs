//! The errors of the room.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use crate::admin::import::{ImportErrors, MAX_LINES};
use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::policy::password::PasswordError;
use crate::policy::ticket_issuing::IssueError;
use crate::records::client_key::ClientKeysError;
use crate::records::id::{ClientId, SecretId, SessionId, TicketId, UserId};
use crate::records::identifier::IdentifierKind;
use crate::records::scope::Scope;
use crate::records::user::User;
use crate::store::query::IdentifierOwner;

/// The reason why an operation failed. Nothing was written, except perhaps after [`AdminError::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminError {
    /// There is no such record.
    NotFound(Item),
    /// Another record has the name.
    AlreadyExists(Item),
    /// Several users have the identifier, from a time when its forms were not compared.
    Ambiguous {
        /// The identifier.
        identifier: String,
        /// The users, at most [`MAX_NAMESAKES`](crate::store::query::MAX_NAMESAKES).
        users: Vec<UserId>,
    },
    /// Another user has the identifier.
    IdentifierTaken {
        /// The identifier.
        identifier: String,
        /// The kind that it was to be.
        kind: IdentifierKind,
        /// The user who has it.
        owner: IdentifierOwner,
    },
    /// A value of the request breaks a rule.
    Invalid {
        /// The field that the value is for.
        field: Field,
        /// The rule.
        reason: Invalid,
    },
    /// The records stand against it.
    Refused(Obstacle),
    /// Lines of an import are refused.
    Import(Box<ImportErrors>),
    /// An import has more lines than [`MAX_LINES`].
    TooManyLines,
    /// The ticket cannot be granted.
    NotIssued(IssueError),
    /// Others changed the records at each of [`ATTEMPTS`](super::ATTEMPTS) attempts.
    Conflict,
    /// The store could not commit.
    NotApplied,
    /// The outcome of the commit was lost: the change may or may not be there.
    Unknown,
    /// The store could not be read.
    Unreadable,
    /// A key could not be made.
    KeyNotMade,
    /// There was no memory to hash a password with.
    NoMemory,
    /// There was no room for a password to be hashed now.
    Overloaded,
    /// The store answered another question than was asked, or an identifier could not be made.
    Internal,
}

/// A record as the request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// A client.
    Client(ClientId),
    /// A user, as named.
    User(String),
    /// A key, by its id.
    Key(String),
    /// A ticket.
    Ticket(TicketId),
    /// A session.
    Session(SessionId),
    /// A secret of a client.
    Secret(SecretId),
}

/// A field of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// The full name of a user, or the name of a client.
    Name,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// An address.
    Address,
    /// A password.
    Password,
    /// The name of a device.
    DeviceName,
    /// The identifier of a client.
    ClientId,
    /// The scope of a client.
    Scope,
    /// The default scope of a client.
    DefaultScope,
    /// An audience of a client.
    Audience,
    /// The lifetime of a client's own access tokens.
    TokenLifetime,
    /// The lifetime of the access tokens of people signed in for a client.
    UserTokenLifetime,
    /// The algorithm that signs the tokens for a client.
    SigningAlgorithm,
    /// The secret of a client.
    Secret,
    /// The user who acts.
    Actor,
    /// The roles of a user or a client.
    Roles,
    /// The public keys of a client.
    Keys,
}

/// The rule that a value breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// It has more characters than this, or a control character.
    NotPlain {
        /// The most characters.
        longest: usize,
    },
    /// It is the user whom it acts as.
    IsTheUser,
    /// It is empty, has more characters than this, or has white space.
    NotOneWord {
        /// The most characters.
        longest: usize,
    },
    /// It has this character, which is not seen.
    Hidden(char),
    /// It has the form of a user's id.
    LikeUserId,
    /// It is no e-mail address: it has no `@`.
    NoAtSign,
    /// It has more bytes of JSON than this, or is nested deeper.
    TooLarge {
        /// The most bytes.
        bytes: usize,
        /// The deepest nesting.
        depth: usize,
    },
    /// There are more of them than this.
    TooMany {
        /// The most of them.
        most: usize,
    },
    /// It is not from 1 to this.
    OutOfRange {
        /// The most.
        most: u32,
    },
    /// It has fewer characters than this.
    TooShort {
        /// The fewest characters.
        least: usize,
    },
    /// It is more than one line, or has a control character.
    NotOneLine,
    /// No key of this algorithm signs.
    NoKeySigns(Algorithm),
    /// It is the server's own.
    Reserved,
    /// There are several, and nobody has more than one.
    NotSeparate,
    /// It is no set of public keys that can be used.
    Keys(ClientKeysError),
    /// The default scope is not within the scope.
    NotWithinScope {
        /// The default scope.
        default_scope: Scope,
        /// The scope.
        scope: Scope,
    },
    /// The password will not do.
    Unfit {
        /// The reason.
        unfit: PasswordError,
        /// The fewest characters that a password has.
        least: u32,
    },
}

/// The state of a record that an operation cannot be done in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The user has no password to change.
    NoPassword,
    /// The user has as many devices as there can be.
    TooManyDevices,
    /// No device of the user waits for a first code.
    NoDeviceWaits,
    /// The code is wrong.
    WrongCode,
    /// It was ended before.
    AlreadyEnded,
    /// The key is the default key.
    KeySigns,
    /// The key signs beside the default key. It has to be stopped first.
    KeySignsBeside,
    /// The key signs, and a client chooses its algorithm.
    KeyIsChosen(Algorithm),
    /// Copies of the key set may not hold the key yet.
    KeyIsNew {
        /// The time from which every copy holds it.
        from: Time,
    },
    /// A token that the key signed may still be good.
    KeyVerifies {
        /// The time from which none is.
        until: Time,
    },
    /// The client has as many secrets as there can be, and none of them has expired.
    TooManySecrets,
    /// The client has as many public keys as there can be.
    TooManyKeys,
    /// The record has another revision than the request names: it was changed since.
    OtherRevision,
    /// The administrator would change their own roles.
    OwnRoles,
    /// The roles are a client's, and the administrator is not the machine itself.
    RolesOfClients,
    /// No other active user is an officer.
    LastOfficer,
    /// There is no audit row that was not archived.
    NothingToArchive,
    /// Others archived audit rows meanwhile, or the administrator was changed.
    ArchivedMeanwhile,
    /// The audit chain does not hold.
    AuditBroken,
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(item) => write!(f, "there is no {item}"),
            Self::AlreadyExists(item) => write!(f, "there is a {item} already"),
            Self::Ambiguous { identifier, users } => {
                write!(f, "{identifier:?} is an identifier of several users:")?;
                users.iter().try_for_each(|user| write!(f, " {user}"))
            }
            Self::IdentifierTaken { identifier, kind, owner } => write!(
                f,
                "the {kind} {identifier:?} is taken: it is the {} of user {:?} ({})",
                owner.kind,
                owner.username.as_str(),
                owner.user
            ),
            Self::Invalid { field, reason } => write!(f, "{field} {reason}"),
            Self::Refused(obstacle) => obstacle.fmt(f),
            Self::Import(errors) => errors.fmt(f),
            Self::TooManyLines => write!(f, "an import has at most {MAX_LINES} lines"),
            Self::NotIssued(error) => write!(f, "no ticket was issued: {error}"),
            Self::Conflict => f.write_str("others changed the same record at each attempt"),
            Self::NotApplied => f.write_str("the store cannot commit now, and nothing was changed"),
            Self::Unknown => f.write_str("the outcome of the commit was lost"),
            Self::Unreadable => f.write_str("the store cannot be read now"),
            Self::KeyNotMade => f.write_str("no key can be made now"),
            Self::NoMemory => f.write_str("there is no memory to hash the password with"),
            Self::Overloaded => f.write_str("too many passwords are being hashed now"),
            Self::Internal => f.write_str("the store answered another question"),
        }
    }
}

impl core::error::Error for AdminError {}

impl Item {
    /// Returns `client`, `user`, `key`, `ticket`, `session` or `secret`.
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::User(_) => "user",
            Self::Key(_) => "key",
            Self::Ticket(_) => "ticket",
            Self::Session(_) => "session",
            Self::Secret(_) => "secret",
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "client {id}"),
            Self::User(who) => write!(f, "user {who:?}"),
            Self::Key(kid) => write!(f, "key {kid:?}"),
            Self::Ticket(id) => write!(f, "ticket {id}"),
            Self::Session(id) => write!(f, "session {id}"),
            Self::Secret(id) => write!(f, "secret {id}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a name",
            Self::Email => "an e-mail address",
            Self::Phone => "a telephone number",
            Self::Address => "an address",
            Self::Password => "the password",
            Self::DeviceName => "a device's name",
            Self::ClientId => "the client id",
            Self::Scope => "a scope",
            Self::DefaultScope => "the default scope",
            Self::Audience => "an audience",
            Self::TokenLifetime => "the lifetime of tokens",
            Self::UserTokenLifetime => "the lifetime of users' tokens",
            Self::SigningAlgorithm => "the signing algorithm",
            Self::Secret => "a secret",
            Self::Actor => "the actor",
            Self::Roles => "a role",
            Self::Keys => "the JWK set",
        })
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPlain { longest } => {
                write!(f, "is at most {longest} characters, none of them a control character")
            }
            Self::NotOneWord { longest } => write!(f, "is 1 to {longest} characters without white space"),
            Self::Hidden(character) => {
                write!(f, "has no characters that are not seen, as U+{:04X}", u32::from(*character))
            }
            Self::IsTheUser => f.write_str("is another than the user: nobody acts as themselves"),
            Self::LikeUserId => write!(f, "does not begin with {}, as the ids of users do", User::ID_PREFIX),
            Self::NoAtSign => f.write_str("has an @"),
            Self::TooLarge { bytes, depth } => write!(f, "is at most {bytes} bytes of JSON, {depth} deep"),
            Self::TooMany { most } => write!(f, "is one of at most {most}"),
            Self::OutOfRange { most } => write!(f, "is a whole number from 1 to {most}"),
            Self::TooShort { least } => write!(f, "has {least} characters at least"),
            Self::NotOneLine => f.write_str("is one line without control characters"),
            Self::NoKeySigns(algorithm) => {
                write!(f, "is one that a key signs by, and no {algorithm} key signs")
            }
            Self::Reserved => f.write_str("is the server's own"),
            Self::NotSeparate => {
                f.write_str("is the only one that somebody has, unless separate_roles is false")
            }
            Self::Keys(error) => write!(f, "cannot be used: {error}"),
            Self::NotWithinScope { default_scope, scope } => {
                write!(f, "\"{default_scope}\" is not within the scope \"{scope}\"")
            }
            Self::Unfit { unfit, least } => {
                write!(f, "{unfit} ({least} characters at least; long beats complicated)")
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyIsChosen(algorithm) => {
                return write!(f, "the key signs for clients that choose {algorithm}");
            }
            Self::KeyIsNew { from } => {
                return write!(f, "copies of the key set may not hold the key before {from}");
            }
            Self::KeyVerifies { until } => {
                return write!(f, "tokens that the key signed are good until {until} at the latest");
            }
            Self::NoPassword => "the user has no password",
            Self::TooManyDevices => "the user has as many devices as there can be",
            Self::NoDeviceWaits => "no device of the user waits for a first code",
            Self::WrongCode => "the code is wrong",
            Self::AlreadyEnded => "it was ended before",
            Self::KeySignsBeside => "the key signs beside the default key, and has to be stopped first",
            Self::KeySigns => "the key is the default key, which signs",
            Self::TooManySecrets => "the client has as many secrets as there can be",
            Self::TooManyKeys => "the client has as many public keys as there can be",
            Self::OtherRevision => "the record was changed since, and has another revision",
            Self::OwnRoles => "nobody changes their own roles: ask another officer, or run `gatepass user set` on the machine",
            Self::RolesOfClients => {
                "a client's roles are changed on the machine alone: run `gatepass client set ID --role ROLE` there"
            }
            Self::LastOfficer => {
                "no other active user is an officer: make somebody one first, or run the command on the machine"
            }
            Self::NothingToArchive => "there is no audit row that was not archived before",
            Self::ArchivedMeanwhile => {
                "others archived audit rows meanwhile, or your own account was changed: nothing was archived"
            }
            Self::AuditBroken => "the audit chain does not hold: verify the audit log",
        })
    }
}
