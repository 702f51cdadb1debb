//! A request for a ticket: the same rules for the endpoint and for the command line.

use alloc::string::{String, ToString};
use core::fmt;
use core::net::IpAddr;

use crate::records::id::{ClientId, UserRef};
use crate::records::scope::Scope;
use crate::records::ticket::{Impersonation, MAX_LIFETIME};

/// A request for a ticket, read but not yet granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketRequest {
    /// The user to be signed in.
    pub user: UserRef,
    /// Its life in seconds, 1–3600.
    pub(crate) ttl: Option<u32>,
    /// The client that the sign-in is for.
    pub audience: Option<ClientId>,
    /// True if the redeemer must authenticate as that client.
    pub bind: bool,
    /// The scope that the sign-in is granted.
    pub scope: Option<Scope>,
    /// The only address that may redeem it.
    pub client_ip: Option<IpAddr>,
    pub(crate) impersonation: Option<AskedImpersonation>,
}

/// A request for a ticket that cannot be granted to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketRequestError {
    /// The lifetime is not 1–3600 seconds.
    Lifetime,
    /// An actor without a reason of 1–500 plain characters, or a reason without an actor.
    Reason,
}

impl fmt::Display for TicketRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lifetime => "ttl must be a whole number of seconds from 1 to 3600",
            Self::Reason => "actor and reason go together; reason is 1 to 500 characters, none of them a control character",
        })
    }
}

impl core::error::Error for TicketRequestError {}

/// The user who is to act, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AskedImpersonation {
    pub(crate) actor: UserRef,
    pub(crate) reason: String,
}

impl TicketRequest {
    /// A plain request for `user`.
    pub const fn new(user: UserRef) -> Self {
        Self {
            user,
            ttl: None,
            audience: None,
            bind: false,
            scope: None,
            client_ip: None,
            impersonation: None,
        }
    }

    /// With a life of `seconds`.
    ///
    /// # Errors
    /// [`TicketRequestError::Lifetime`] unless it is 1–3600.
    pub fn lasting(self, seconds: u64) -> Result<Self, TicketRequestError> {
        match u32::try_from(seconds) {
            Ok(ttl @ 1..=MAX_LIFETIME) => Ok(Self { ttl: Some(ttl), ..self }),
            Ok(_) | Err(_) => Err(TicketRequestError::Lifetime),
        }
    }

    /// With `actor` acting as the user, for `reason`. The two go together.
    ///
    /// # Errors
    /// [`TicketRequestError::Reason`] where one is missing, or the reason is not 1–500 plain characters.
    pub fn impersonated(
        self,
        actor: Option<UserRef>,
        reason: Option<&str>,
    ) -> Result<Self, TicketRequestError> {
        let impersonation = match (actor, reason) {
            (None, None) => None,
            (Some(actor), Some(reason)) if Impersonation::is_reason(reason) => {
                Some(AskedImpersonation { actor, reason: reason.to_string() })
            }
            (Some(_), Some(_) | None) | (None, Some(_)) => return Err(TicketRequestError::Reason),
        };
        Ok(Self { impersonation, ..self })
    }
}
