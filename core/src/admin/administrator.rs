//! The administrator who asks for an operation.

use crate::records::id::{ClientId, UserId};

/// The administrator who asks for an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Administrator {
    /// A command on the machine itself, which has every role.
    Machine,
    /// A user with a role, over HTTP.
    User(UserId),
    /// A client with a role, over HTTP.
    Client(ClientId),
}

impl Administrator {
    /// Returns true if it is `user`.
    pub fn is_user(&self, user: &UserId) -> bool {
        matches!(self, Self::User(id) if id == user)
    }

    /// Returns true if it is `client`.
    pub fn is_client(&self, client: &ClientId) -> bool {
        matches!(self, Self::Client(id) if id == client)
    }

    /// Returns true if it is a command on the machine itself.
    pub const fn is_machine(&self) -> bool {
        matches!(self, Self::Machine)
    }
}
