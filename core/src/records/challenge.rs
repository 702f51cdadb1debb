//! A sign-in that waits for its second factor.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use crate::base::base64url::prefixed;
use crate::base::secret::{Secret, SecretText};
use crate::base::time::{Clocks, Time};
use crate::crypto::sha256;
use crate::records::client::ClientRef;
use crate::records::delivery::AnswerDelivery;
use crate::records::id::{ClientId, SessionId, TicketId, UserId};
use crate::records::named_clients::NamedClients;
use crate::records::scope::Scope;
use crate::records::session::{Actor, Purpose, Session};
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::records::ticket::{Impersonation, Ticket, is_token_text};
use crate::records::user::User;

/// How long a challenge waits, in seconds.
pub const LIFETIME: u64 = 300;

/// How many wrong codes end a challenge.
pub const MAX_WRONG: u32 = 5;

const PREFIX: &str = "chg_";

/// What a sign-in will be, once nothing more is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Who is signed in.
    pub user_id: UserId,
    /// Who acts as them, and why.
    pub impersonation: Option<Impersonation>,
    /// The client it is for.
    pub client_id: ClientId,
    /// Whether that client joins the tokens' `aud`.
    pub for_audience: bool,
    /// Whether that client must authenticate to refresh.
    pub bind: bool,
    /// What is granted.
    pub scope: Scope,
    /// How they have proved who they are so far (RFC 8176).
    pub methods: Vec<String>,
    /// The ticket it began with, where it was not a password.
    pub ticket: Option<TicketId>,
    /// Where whoever is at the keyboard is.
    pub place: DeviceOnNetwork,
    /// The epoch of the client it is for; none where it rests on no client's record.
    pub client_epoch: Option<u64>,
    /// The client that issued the ticket, where one did.
    pub issuer: Option<ClientRef>,
}

impl SignIn {
    /// What `ticket` will be, presented at `place`.
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

    /// What a good password of `user` will be, shown at `place`.
    pub(crate) fn by_password(user: UserId, scope: Scope, place: DeviceOnNetwork) -> Self {
        Self {
            user_id: user,
            impersonation: None,
            client_id: ClientId::own(),
            for_audience: false,
            bind: false,
            scope,
            methods: alloc::vec!["pwd".into()],
            ticket: None,
            place,
            client_epoch: None,
            issuer: None,
        }
    }

    /// Whose second factor is asked for: the actor's, where somebody acts as the user.
    pub fn challenged(&self) -> &UserId {
        self.impersonation.as_ref().map_or(&self.user_id, |i| &i.actor)
    }

    /// The clients that it rests on.
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
    /// SHA-256 of its text.
    pub digest: ChallengeDigest,
    /// What it is for.
    pub sign_in: SignIn,
    /// The user's epoch when it was made: whatever ends their sessions ends it too.
    pub user_epoch: u64,
    /// The same of the actor, where there is one.
    pub actor_epoch: Option<u64>,
    /// From when on it is refused.
    pub expires_at: Time,
    /// Wrong codes so far.
    pub wrong: u32,
    /// How it was answered, once it was.
    pub answered: Option<Answered>,
    /// The state epoch it was issued in.
    pub state_epoch: u64,
    /// When it was issued, by our own time. A challenge that is dated ahead is not accepted.
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
    /// When it came.
    pub at: Time,
    /// What it led to, where it came with an `Idempotency-Key`.
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
    /// The digest of a presented text, or none where no challenge can look so.
    pub fn read(text: &str) -> Option<Self> {
        is_token_text(PREFIX, text).then(|| Self(sha256(text.as_bytes())))
    }

    pub(crate) fn of(text: &SecretText) -> Self {
        Self(sha256(text.expose().as_bytes()))
    }
}

/// The text of a challenge made of 256 drawn bits.
pub(crate) fn challenge_text(drawn: &Secret<32>) -> SecretText {
    SecretText::new(prefixed(PREFIX, drawn.expose()))
}
