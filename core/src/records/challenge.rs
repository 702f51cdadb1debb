//! A sign-in that waits for its second factor.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use crate::base::base64url::prefixed;
use crate::base::secret::{Secret, SecretText};
use crate::base::time::{Clocks, Time};
use crate::crypto::sha256;
use crate::records::client::{Client, ClientRef};
use crate::records::delivery::AnswerDelivery;
use crate::records::id::{ClientId, SessionId, TicketId, UserId};
use crate::records::named_clients::NamedClients;
use crate::records::scope::Scope;
use crate::records::session::{Actor, Purpose, Session};
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::records::ticket::{Impersonation, Ticket, is_token_text};
use crate::records::user::User;

/// The life of a challenge, in seconds.
pub const LIFETIME: u64 = 300;

/// The number of wrong codes that closes a challenge.
pub const MAX_WRONG: u32 = 5;

const PREFIX: &str = "chg_";

/// A sign-in that still waits for its second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The user who is signed in.
    pub user_id: UserId,
    /// The actor and the reason, if somebody acts as the user.
    pub impersonation: Option<Impersonation>,
    /// The client that the sign-in is for.
    pub client_id: ClientId,
    /// True if that client is added to the tokens' `aud`.
    pub for_audience: bool,
    /// True if that client must authenticate to refresh.
    pub bind: bool,
    /// The granted scope.
    pub scope: Scope,
    /// The authentication methods so far (RFC 8176).
    pub methods: Vec<String>,
    /// The ticket it began with; none after a password.
    pub ticket: Option<TicketId>,
    /// The device and network of the person who signs in.
    pub place: DeviceOnNetwork,
    /// The epoch of that client; none if the sign-in does not depend on a client's record.
    pub client_epoch: Option<u64>,
    /// The client that issued the ticket, if a client did.
    pub issuer: Option<ClientRef>,
}

impl SignIn {
    /// Makes the sign-in of `ticket`, presented at `place`.
    pub fn by_ticket(ticket: &Ticket, place: DeviceOnNetwork) -> Self {
        Self {
            user_id: ticket.user_id.clone(),
            impersonation: ticket.impersonation.clone(),
            client_id: ticket.client_id.clone(),
            for_audience: ticket.for_audience,
            bind: ticket.bind,
            scope: ticket.scope.clone(),
            methods: alloc::vec!["ticket".into()],
            ticket: Some(ticket.id.clone()),
            place,
            client_epoch: ticket.client_epoch,
            issuer: ticket.issuer.clone(),
        }
    }

    /// Makes the sign-in of `user` by a correct password, entered at `place`: for `client`, which it is bound to, or for nobody
    /// but this server.
    pub(crate) fn by_password(
        user: UserId,
        client: Option<&Client>,
        scope: Scope,
        place: DeviceOnNetwork,
    ) -> Self {
        Self {
            user_id: user,
            impersonation: None,
            client_id: client.map_or_else(ClientId::own, |client| client.id.clone()),
            for_audience: client.is_some(),
            bind: client.is_some(),
            scope,
            methods: alloc::vec!["pwd".into()],
            ticket: None,
            place,
            client_epoch: client.map(|client| client.epoch),
            issuer: None,
        }
    }

    /// Returns the person whose second factor is asked for: the actor if there is one, or else the user.
    pub fn challenged(&self) -> &UserId {
        self.impersonation.as_ref().map_or(&self.user_id, |i| &i.actor)
    }

    /// Returns the clients that it depends on.
    pub const fn clients(&self) -> NamedClients<'_> {
        NamedClients::new(&self.client_id, self.client_epoch, self.issuer.as_ref())
    }

    /// The session it becomes at `clocks` in `state_epoch`, good for `purpose`. One that is not good for everything lives as long as its one
    /// access token.
    pub(crate) fn session(
        &self,
        id: SessionId,
        (user, actor): (&User, Option<&User>),
        purpose: Purpose,
        lifetime: u32,
        state_epoch: u64,
        clocks: Clocks,
    ) -> Session {
        let Clocks { now, wall } = clocks;
        Session {
            id,
            user_id: self.user_id.clone(),
            user_epoch: user.epoch,
            actor: actor.map(|actor| Actor { id: actor.id.clone(), epoch: actor.epoch }),
            client_id: self.client_id.clone(),
            bind: self.bind,
            for_audience: self.for_audience && purpose == Purpose::Anything,
            purpose,
            scope: match purpose {
                Purpose::Anything => self.scope.clone(),
                // No ticket and no setting can grant either.
                Purpose::Enrol => Scope::reserved("gatepass:enrol"),
                Purpose::ChangePassword => Scope::reserved("gatepass:change-password"),
            },
            auth_time: wall,
            methods: self.methods.clone(),
            expires_at: now.plus(lifetime.into()),
            ended_at: None,
            state_epoch,
            client_epoch: self.client_epoch,
            issuer: self.issuer.clone(),
            signed_in_at: now,
        }
    }
}

/// A challenge as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The digest of its text.
    pub digest: ChallengeDigest,
    /// The sign-in that waits for it.
    pub sign_in: SignIn,
    /// The user's epoch when it was made. Ending the user's sessions ends the challenge, too.
    pub user_epoch: u64,
    /// The actor's epoch, if there is an actor.
    pub actor_epoch: Option<u64>,
    /// The time from which it is refused.
    pub expires_at: Time,
    /// Wrong codes so far.
    pub wrong: u32,
    /// The answer; none while it is open.
    pub answered: Option<Answered>,
    /// The state epoch it was issued in.
    pub state_epoch: u64,
    /// The time of issue by `RequestInputs::now`. A challenge whose time is in the future is not accepted.
    pub issued_at: Time,
}

impl Challenge {
    /// Returns true if it can still be answered at `now`.
    pub fn is_open(&self, now: Time) -> bool {
        self.answered.is_none()
            && self.wrong < MAX_WRONG
            && now < self.expires_at
            && !self.issued_at.is_ahead_of(now)
    }
}

/// The answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The time of the answer.
    pub at: Time,
    /// The session that it opened, if it came with an `Idempotency-Key`.
    pub delivery: Option<Box<AnswerDelivery>>,
}

/// SHA-256 of a challenge's text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChallengeDigest(pub [u8; 32]);

impl fmt::Debug for ChallengeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeDigest(…)")
    }
}

impl ChallengeDigest {
    /// Returns the digest of a presented text; none if no challenge has this form.
    pub fn read(text: &str) -> Option<Self> {
        is_token_text(PREFIX, text).then(|| Self(sha256(text.as_bytes())))
    }

    pub(crate) fn of(text: &SecretText) -> Self {
        Self(sha256(text.expose().as_bytes()))
    }
}

/// Returns the text of a challenge made of 256 drawn bits.
pub(crate) fn challenge_text(drawn: &Secret<32>) -> SecretText {
    SecretText::new(prefixed(PREFIX, drawn.expose()))
}
