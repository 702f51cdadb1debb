//! What a flow asks of the store, and what it is told: one query, one consistent snapshot.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use crate::records::challenge::{Challenge, ChallengeDigest};
use crate::records::client::Client;
use crate::records::delivery::{Delivered, DeliveredSession};
use crate::records::factor::Factors;
use crate::records::id::{ClientId, SessionId, UserId, UserRef};
use crate::records::password::Password;
use crate::records::session::{RefreshDigest, RefreshToken, Session};
use crate::records::sign_in_history::SignInHistory;
use crate::records::ticket::{Ticket, TicketDigest};
use crate::records::user::User;

/// One question to the store, answered from one snapshot.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Nothing but the generation of the keys.
    Generation,
    /// A client, with its secrets.
    Client(ClientId),
    /// A ticket with everyone it names.
    Ticket(TicketDigest),
    /// Those whom a presented access token names.
    Bearer(BearerQuery),
    /// Those whom a request for a ticket names.
    Issue(IssueQuery),
    /// Whatever a presented token names, and the client that presents it.
    Token(TokenQuery),
    /// The bearer of an access token, and every session of the user it names that was not ended, whose actor, where somebody
    /// acts as the user, and whose clients stand as at sign-in.
    Sessions(BearerQuery),
    /// A challenge with everyone it names.
    Challenge(ChallengeDigest),
    /// The bearer of an access token, and the second factors of the user it names.
    Factors(BearerQuery),
    /// The user called so, and everything a sign-in by password rests on.
    Login(Identity),
    /// The bearer of an access token, and the password of the user it names.
    Password(BearerQuery),
}

/// What somebody signs in as: a user name, or else an e-mail address (the case of ASCII letters apart) or a telephone
/// number that one user alone has.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(pub String);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// A token of either kind, and who presents it.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenQuery {
    /// The client that presents it, where it says so.
    pub caller: Option<ClientId>,
    /// Whom it names, where it may be an access token.
    pub access: Option<BearerQuery>,
    /// Its digest, where it may be a refresh token.
    pub refresh: Option<RefreshDigest>,
}

/// Whom an access token names; not yet verified, so only good for looking up.
#[derive(Clone, Debug, PartialEq)]
pub struct BearerQuery {
    /// The client it was issued to.
    pub client: ClientId,
    /// Its own identifier: `jti`.
    pub token_id: String,
    /// Whose token it is, where it is a person's.
    pub person: Option<PersonQuery>,
}

/// The person and session that a user's access token names.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonQuery {
    /// The subject.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The actor, where it is an impersonation.
    pub actor: Option<UserId>,
}

/// Whom a request for a ticket names, its bearer included.
#[derive(Clone, Debug, PartialEq)]
pub struct IssueQuery {
    /// Who asks; none for the command line.
    pub bearer: Option<BearerQuery>,
    /// Who is to be signed in, where the request says so legibly.
    pub user: Option<UserRef>,
    /// Who is to act.
    pub actor: Option<UserRef>,
    /// Which client it is for.
    pub audience: Option<ClientId>,
}

/// The store's answer to one [`Query`].
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The generation of the keys, as of the snapshot. Where the core at hand is older, reload the keys before
    /// `resume`: a command's change holds for the next request.
    pub generation: u64,
    /// The state epoch, as of the snapshot: one number for the whole store, 0 at first, another one once older state was
    /// put back. Tickets, sessions, challenges and services' access tokens that were issued in another epoch are refused.
    pub state_epoch: u64,
    /// The records, in the shape of the query.
    pub records: Records,
}

/// The records of a snapshot; each shape answers the query of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    /// For [`Query::Generation`].
    Generation,
    /// For [`Query::Client`].
    Client(Option<Client>),
    /// For [`Query::Ticket`]; none where no ticket has the digest.
    Ticket(Option<Box<TicketRecords>>),
    /// For [`Query::Bearer`].
    Bearer(Box<BearerRecords>),
    /// For [`Query::Issue`].
    Issue(Box<IssueRecords>),
    /// For [`Query::Token`].
    Token(Box<TokenRecords>),
    /// For [`Query::Sessions`].
    Sessions(Box<SessionsRecords>),
    /// For [`Query::Challenge`]; none where no challenge has the digest.
    Challenge(Option<Box<ChallengeRecords>>),
    /// For [`Query::Factors`].
    Factors(Box<FactorsRecords>),
    /// For [`Query::Login`]; none where nobody is called so.
    Login(Option<Box<LoginRecords>>),
    /// For [`Query::Password`].
    Password(Box<PasswordRecords>),
    /// The store could not be read.
    Unreadable,
}

/// A ticket, and everyone it names as they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketRecords {
    /// The ticket.
    pub ticket: Ticket,
    /// Who it signs in.
    pub user: Option<User>,
    /// Who acts, where it is an impersonation.
    pub actor: Option<User>,
    /// The client that the sign-in is for.
    pub client: Option<Client>,
    /// The client that issued it, where one did that is another than `client`.
    pub issuer: Option<Client>,
    /// The second factors of the actor, or else of the user.
    pub factors: Factors,
    /// From where and when the actor, or else the user, usually signs in.
    pub history: SignInHistory,
    /// What the ticket led to, where it was redeemed with an `Idempotency-Key` and that is still there.
    pub delivered: Option<Delivered>,
}

/// A user, and everything their sign-in by password rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginRecords {
    /// Who signs in.
    pub user: User,
    /// Their password, where they have one.
    pub password: Option<Password>,
    /// Their second factors.
    pub factors: Factors,
    /// From where and when they usually sign in.
    pub history: SignInHistory,
}

/// The bearer of an access token, and the password of the user it names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PasswordRecords {
    /// Whom the token names.
    pub bearer: BearerRecords,
    /// The user's password, where they have one.
    pub password: Option<Password>,
}

/// A challenge, and everyone it names as they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct ChallengeRecords {
    /// The challenge.
    pub challenge: Challenge,
    /// Who is to be signed in.
    pub user: Option<User>,
    /// Who acts as them.
    pub actor: Option<User>,
    /// The client that the sign-in is for.
    pub client: Option<Client>,
    /// The second factors of the actor, or else of the user.
    pub factors: Factors,
    /// The client that issued the ticket, where one did that is another than `client`.
    pub issuer: Option<Client>,
    /// The session that the answer opened, where it came with an `Idempotency-Key` and that session is still there.
    pub delivered: Option<DeliveredSession>,
}

/// The bearer of an access token, and the second factors of the user it names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FactorsRecords {
    /// Whom the token names.
    pub bearer: BearerRecords,
    /// The user's factors.
    pub factors: Factors,
}

/// Whom an access token names, as they are now.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct BearerRecords {
    /// The client it was issued to.
    pub client: Option<Client>,
    /// The subject.
    pub user: Option<User>,
    /// The session.
    pub session: Option<Session>,
    /// The actor.
    pub actor: Option<User>,
    /// Whether this very token was revoked.
    pub revoked: bool,
    /// The client that the session rests on beside `client`, because it issued the ticket.
    pub issuer: Option<Client>,
}

/// What a presented token names, as it is now.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TokenRecords {
    /// The client that presents it.
    pub caller: Option<Client>,
    /// Whom it names as an access token.
    pub bearer: BearerRecords,
    /// What it is as a refresh token.
    pub family: Option<Family>,
}

/// A refresh token with its session and everyone in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The token.
    pub refresh: RefreshToken,
    /// Its successor, where it was used and that one still exists.
    pub successor: Option<RefreshToken>,
    /// The session it prolongs.
    pub session: Session,
    /// Who is signed in.
    pub user: Option<User>,
    /// Who acts as them.
    pub actor: Option<User>,
    /// The client the session is for.
    pub client: Option<Client>,
    /// The client that the session rests on beside `client`, because it issued the ticket.
    pub issuer: Option<Client>,
}

/// The bearer of an access token, and the sessions of the user it names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SessionsRecords {
    /// Whom the token names.
    pub bearer: BearerRecords,
    /// The user's sessions that have not been ended and whose actors and clients stand, the newest first; at most [`MAX_SESSIONS`]. None
    /// where the session that the token names is not there, has been ended or is another's: the token is not verified yet.
    pub sessions: Vec<Session>,
}

/// The most sessions that are listed.
pub const MAX_SESSIONS: usize = 200;

/// Whom a request for a ticket names, as they are now.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct IssueRecords {
    /// Who asks.
    pub bearer: BearerRecords,
    /// Who is to be signed in.
    pub user: Option<User>,
    /// Who is to act.
    pub actor: Option<User>,
    /// The client it is for.
    pub audience: Option<Client>,
}
