//! The queries of a flow and their answers: one query, one consistent snapshot.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use crate::records::challenge::{Challenge, ChallengeDigest};
use crate::records::client::Client;
use crate::records::client_assertion::AssertionDigest;
use crate::records::delivery::{Delivered, DeliveredSession};
use crate::records::factor::Factors;
use crate::records::id::{ClientId, SessionId, TicketId, UserId, UserRef};
use crate::records::identifier::{IdentifierKind, NumberingPlan};
use crate::records::password::Password;
use crate::records::session::{RefreshDigest, RefreshToken, Session};
use crate::records::sign_in_history::SignInHistory;
use crate::records::signing_key::KeyRecords;
use crate::records::ticket::{Ticket, TicketDigest};
use crate::records::user::{User, Username};
use crate::store::page::{Page, PageQuery};

/// One question to the store, answered from one snapshot.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// Nothing but the generation of the keys.
    Generation,
    /// A client, with its secrets.
    Client(ClientId),
    /// A ticket with everyone it names.
    Ticket(TicketDigest),
    /// Everybody whom a presented access token names.
    Bearer(BearerQuery),
    /// Everybody whom a request for a ticket names.
    Issue(IssueQuery),
    /// Everything that a presented token names, and the client that presents it.
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
    /// A user whom an administrator names.
    User(UserQuery),
    /// The users who have identifiers of the same form as these texts.
    Owners(Vec<String>),
    /// The users whom the lines of an import name, and the owners of the identifiers that each of them is to have.
    Import(Vec<UserQuery>),
    /// A user whom an administrator names, with their password, second factors and sign-in history.
    Account(UserRef),
    /// A sign-in that is explained and not made: the user, the actor and the client, and everything that the decision rests on.
    Explain(ExplainQuery),
    /// A session.
    Session(SessionId),
    /// A ticket by its identifier.
    TicketById(TicketId),
    /// Every key without its private part, and what the clients ask of them. There are few.
    Keys,
    /// Users.
    UserPage(PageQuery),
    /// Clients, with their secrets.
    ClientPage(PageQuery),
    /// Users with roles of administration, then clients with such.
    RoleHolderPage(PageQuery),
    /// Tickets.
    TicketPage(PageQuery),
    /// Sessions, ended ones included.
    SessionPage(SessionPageQuery),
    /// A ticket, a challenge or a login, and the client that presents it; or the keys, and the client that an administrator names.
    ByClient(ByClientQuery),
    /// The bearer of an access token, and the answer to an administrator's question. The core nests nothing else.
    Administered(AdministeredQuery),
}

impl Query {
    /// Asks the same together with the client `caller`, if there is one.
    pub(crate) fn by(self, caller: Option<&ClientId>) -> Self {
        match caller {
            None => self,
            Some(caller) => Self::ByClient(ByClientQuery { caller: caller.clone(), query: Box::new(self) }),
        }
    }
}

/// A question about something that a client presents, and that client.
#[derive(Clone, Debug, PartialEq)]
pub struct ByClientQuery {
    /// The client.
    pub caller: ClientId,
    /// The question.
    pub query: Box<Query>,
}

/// A question of the bearer of an access token who administers.
#[derive(Clone, Debug, PartialEq)]
pub struct AdministeredQuery {
    /// The bearer.
    pub bearer: BearerQuery,
    /// The question.
    pub query: Box<Query>,
}

/// The user that an administrator names.
#[derive(Clone, Debug, PartialEq)]
pub struct UserQuery {
    /// The user.
    pub user: UserRef,
    /// The identifiers that the user is to have, if the owners of any are asked for.
    pub identifiers: Vec<String>,
}

/// A sign-in that is explained.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainQuery {
    /// The user who would be signed in.
    pub user: UserRef,
    /// The user who would act as that one.
    pub actor: Option<UserRef>,
    /// The client that it would be for.
    pub client: Option<ClientId>,
}

/// Sessions of everybody, or of one user.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionPageQuery {
    /// The user whose sessions are asked for; none asks for everybody's.
    pub user: Option<UserId>,
    /// The page.
    pub page: PageQuery,
}

/// The text that somebody signs in with: a user name, an e-mail address or a telephone number, compared in its canonical form.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(pub String);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// A token of either kind, if there is one, and who presents it.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenQuery {
    /// The client that presents it, if it says so.
    pub caller: Option<ClientId>,
    /// The names in it, if it may be an access token.
    pub access: Option<BearerQuery>,
    /// Its digest, if it may be a refresh token.
    pub refresh: Option<RefreshDigest>,
    /// The assertion by which the client authenticates, if it does so.
    pub assertion: Option<AssertionDigest>,
}

/// The names in an access token. The token is not verified yet, so they are only good for looking up.
#[derive(Clone, Debug, PartialEq)]
pub struct BearerQuery {
    /// The client it was issued to.
    pub client: ClientId,
    /// Its own identifier: `jti`.
    pub token_id: String,
    /// The person, if it is a person's token.
    pub person: Option<PersonQuery>,
}

/// The person and session that a user's access token names.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonQuery {
    /// The subject.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The actor, if there is one.
    pub actor: Option<UserId>,
}

/// The names in a request for a ticket, its bearer included.
#[derive(Clone, Debug, PartialEq)]
pub struct IssueQuery {
    /// The caller; none for the command line.
    pub bearer: Option<BearerQuery>,
    /// The user to be signed in, if the request names one that can be read.
    pub user: Option<UserRef>,
    /// The user who is to act.
    pub actor: Option<UserRef>,
    /// The client that it is for.
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
    /// For [`Query::Ticket`]; none if no ticket has the digest.
    Ticket(Option<Box<TicketRecords>>),
    /// For [`Query::Bearer`].
    Bearer(Box<BearerRecords>),
    /// For [`Query::Issue`].
    Issue(Box<IssueRecords>),
    /// For [`Query::Token`].
    Token(Box<TokenRecords>),
    /// For [`Query::Sessions`].
    Sessions(Box<SessionsRecords>),
    /// For [`Query::Challenge`]; none if no challenge has the digest.
    Challenge(Option<Box<ChallengeRecords>>),
    /// For [`Query::Factors`].
    Factors(Box<FactorsRecords>),
    /// For [`Query::Login`].
    Login(Named<Box<LoginRecords>>),
    /// For [`Query::Password`].
    Password(Box<PasswordRecords>),
    /// For [`Query::User`].
    User(Named<Box<UserRecords>>),
    /// For [`Query::Owners`], in the order of the texts.
    Owners(Vec<Option<IdentifierOwner>>),
    /// For [`Query::Import`].
    Import(Box<ImportRecords>),
    /// For [`Query::Account`].
    Account(Named<Box<AccountRecords>>),
    /// For [`Query::Explain`].
    Explain(Box<ExplainRecords>),
    /// For [`Query::Session`].
    Session(Option<Box<Session>>),
    /// For [`Query::TicketById`].
    TicketById(Option<Box<Ticket>>),
    /// For [`Query::Keys`].
    Keys(Box<KeyRecords>),
    /// For [`Query::UserPage`].
    UserPage(Page<User>),
    /// For [`Query::ClientPage`].
    ClientPage(Page<Client>),
    /// For [`Query::RoleHolderPage`].
    RoleHolderPage(Page<RoleHolder>),
    /// For [`Query::TicketPage`].
    TicketPage(Page<Ticket>),
    /// For [`Query::SessionPage`].
    SessionPage(Page<SessionRecords>),
    /// For [`Query::ByClient`].
    ByClient(Box<ByClientRecords>),
    /// For [`Query::Administered`].
    Administered(Box<AdministeredRecords>),
    /// The store could not be read.
    Unreadable,
}

/// The user whom a text names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Named<T> {
    /// There is no such user.
    #[default]
    Nobody,
    /// One user.
    One(T),
    /// Several users have the identifier, from a time when its forms were not compared: these, in the order of their ids, or
    /// [`MAX_NAMESAKES`] of them where there are more. It names none of them.
    Several(Vec<UserId>),
}

/// The most users that [`Named::Several`] lists.
pub const MAX_NAMESAKES: usize = 8;

impl<T> Named<T> {
    /// Returns the one user.
    pub const fn one(&self) -> Option<&T> {
        match self {
            Self::One(user) => Some(user),
            Self::Nobody | Self::Several(_) => None,
        }
    }

    /// Returns the same, but nobody where the one user is not so.
    #[must_use]
    pub fn filter(self, is_so: impl FnOnce(&T) -> bool) -> Self {
        match self {
            Self::One(user) if !is_so(&user) => Self::Nobody,
            Self::Nobody | Self::One(_) | Self::Several(_) => self,
        }
    }

    /// Returns the same with another value in place of the one user.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Named<U> {
        match self {
            Self::Nobody => Named::Nobody,
            Self::One(user) => Named::One(make(user)),
            Self::Several(users) => Named::Several(users),
        }
    }
}

impl<T> From<Option<T>> for Named<T> {
    fn from(user: Option<T>) -> Self {
        user.map_or(Self::Nobody, Self::One)
    }
}

/// The user who has an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifierOwner {
    /// The user.
    pub user: UserId,
    /// The name of the user.
    pub username: Username,
    /// The kind of identifier that it is of the user's.
    pub kind: IdentifierKind,
}

impl Records {
    /// Returns the client that presents something, and the answer about that.
    pub(crate) fn by_client(self) -> (Option<Client>, Self) {
        if let Self::ByClient(found) = self { (found.caller, found.records) } else { (None, self) }
    }

    /// Returns the same by reference.
    pub(crate) fn with_client(&self) -> (Option<&Client>, &Self) {
        if let Self::ByClient(found) = self { (found.caller.as_ref(), &found.records) } else { (None, self) }
    }

    /// Returns true if the store could not be read.
    pub(crate) fn is_unreadable(&self) -> bool {
        let answer = if let Self::Administered(found) = self { &found.records } else { self };
        *answer.with_client().1 == Self::Unreadable
    }
}

/// The bearer of an access token, and the answer to the bearer's question.
#[derive(Clone, Debug, PartialEq)]
pub struct AdministeredRecords {
    /// The records that the token names.
    pub bearer: BearerRecords,
    /// The answer, from the same snapshot.
    pub records: Records,
}

/// A client that presents something, and the answer about that.
#[derive(Clone, Debug, PartialEq)]
pub struct ByClientRecords {
    /// The client, if there is one of this id.
    pub caller: Option<Client>,
    /// The answer, from the same snapshot.
    pub records: Records,
}

/// A ticket, and the records that it names.
#[derive(Clone, Debug, PartialEq)]
pub struct TicketRecords {
    /// The ticket.
    pub ticket: Ticket,
    /// The user whom it signs in.
    pub user: Option<User>,
    /// The actor, if there is one.
    pub actor: Option<User>,
    /// The client that the sign-in is for.
    pub client: Option<Client>,
    /// The client that issued it, if it is another than `client`.
    pub issuer: Option<Client>,
    /// The second factors of the actor, or else of the user.
    pub factors: Factors,
    /// The sign-in history of the actor, or else of the user.
    pub history: SignInHistory,
    /// The session or challenge that it led to, if it was redeemed with an `Idempotency-Key` and that still exists.
    pub delivered: Option<Delivered>,
}

/// A user, and everything that a sign-in by password depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginRecords {
    /// The user who signs in.
    pub user: User,
    /// The password, if there is one.
    pub password: Option<Password>,
    /// The second factors.
    pub factors: Factors,
    /// The sign-in history.
    pub history: SignInHistory,
}

/// The bearer of an access token, and the password of the user it names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct PasswordRecords {
    /// The records that the token names.
    pub bearer: BearerRecords,
    /// The user's password, if there is one.
    pub password: Option<Password>,
    /// The user's sign-in history.
    pub history: SignInHistory,
}

/// A user whom an administrator names.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRecords {
    /// The user.
    pub user: User,
    /// For each of the identifiers that were asked about, another user who has it, if there is one.
    pub owners: Vec<Option<IdentifierOwner>>,
    /// True if the user is an officer, and another active user is one, too.
    pub another_officer: bool,
}

/// A user or a client with roles of administration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleHolder {
    /// A user.
    User(Box<User>),
    /// A client.
    Client(Box<Client>),
}

/// The users whom an import names.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportRecords {
    /// The plan by which the store compares identifiers.
    pub numbering_plan: Option<NumberingPlan>,
    /// The records of each line, in their order.
    pub users: Vec<ImportedRecords>,
}

/// The user whom a line of an import names.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedRecords {
    /// The user.
    pub user: Named<Box<User>>,
    /// Their password, where they have one.
    pub password: Option<Password>,
    /// For each of the identifiers that were asked about, another user who has it, if there is one.
    pub owners: Vec<Option<IdentifierOwner>>,
    /// True if the user is an officer, and another active user is one, too.
    pub another_officer: bool,
}

/// A user, and the records that belong to the user.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountRecords {
    /// The user.
    pub user: User,
    /// Their password, where they have one.
    pub password: Option<Password>,
    /// Their second factors.
    pub factors: Factors,
    /// The sign-in history.
    pub history: SignInHistory,
    /// True if the user is an officer, and another active user is one, too.
    pub another_officer: bool,
}

/// The records that a sign-in rests on.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ExplainRecords {
    /// The user who would be signed in.
    pub user: Named<User>,
    /// The user who would act as that one.
    pub actor: Named<User>,
    /// The client that it would be for.
    pub client: Option<Client>,
    /// The second factors of the actor if one was asked about, or else of the user.
    pub factors: Factors,
    /// The sign-in history of the same.
    pub history: SignInHistory,
}

/// A session, and the records that it names.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecords {
    /// The session.
    pub session: Session,
    /// The user who is signed in.
    pub user: Option<User>,
    /// The user who acts as that one.
    pub actor: Option<User>,
    /// The client the session is for.
    pub client: Option<Client>,
    /// The client that the session rests on beside `client`, because it issued the ticket.
    pub issuer: Option<Client>,
}

/// A challenge, and the records that it names.
#[derive(Clone, Debug, PartialEq)]
pub struct ChallengeRecords {
    /// The challenge.
    pub challenge: Challenge,
    /// The user to be signed in.
    pub user: Option<User>,
    /// The user who acts as that one.
    pub actor: Option<User>,
    /// The client that the sign-in is for.
    pub client: Option<Client>,
    /// The second factors of the actor, or else of the user.
    pub factors: Factors,
    /// The sign-in history of the actor, or else of the user.
    pub history: SignInHistory,
    /// The client that issued the ticket, where one did that is another than `client`.
    pub issuer: Option<Client>,
    /// The session that the answer opened, where it came with an `Idempotency-Key` and that session is still there.
    pub delivered: Option<DeliveredSession>,
}

/// The bearer of an access token, and the second factors of the user it names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FactorsRecords {
    /// The records that the token names.
    pub bearer: BearerRecords,
    /// The user's factors.
    pub factors: Factors,
    /// The user's sign-in history.
    pub history: SignInHistory,
}

/// The records that an access token names.
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
    /// True if this token was revoked.
    pub revoked: bool,
    /// The client that the session rests on beside `client`, because it issued the ticket.
    pub issuer: Option<Client>,
}

/// The records that a presented token names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TokenRecords {
    /// The client that presents it.
    pub caller: Option<Client>,
    /// The records that it names as an access token.
    pub bearer: BearerRecords,
    /// The family that it belongs to as a refresh token.
    pub family: Option<Family>,
    /// True if the assertion was used before.
    pub is_assertion_used: bool,
}

/// A refresh token with its session and everyone in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The token.
    pub refresh: RefreshToken,
    /// Its successor, if it was used and the successor still exists.
    pub successor: Option<RefreshToken>,
    /// The session it prolongs.
    pub session: Session,
    /// The user who is signed in.
    pub user: Option<User>,
    /// The user who acts as that one.
    pub actor: Option<User>,
    /// The client the session is for.
    pub client: Option<Client>,
    /// The client that the session rests on beside `client`, because it issued the ticket.
    pub issuer: Option<Client>,
}

/// The bearer of an access token, and the sessions of the user it names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SessionsRecords {
    /// The records that the token names.
    pub bearer: BearerRecords,
    /// The user's sessions that have not been ended and whose actors and clients stand, the newest first; at most [`MAX_SESSIONS`]. None
    /// where the session that the token names is not there, has been ended or is another's: the token is not verified yet.
    pub sessions: Vec<Session>,
}

/// The most sessions that are listed.
pub const MAX_SESSIONS: usize = 200;

/// The records that a request for a ticket names.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct IssueRecords {
    /// The caller's records.
    pub bearer: BearerRecords,
    /// The user to be signed in.
    pub user: Named<User>,
    /// The user who is to act.
    pub actor: Named<User>,
    /// The client it is for.
    pub audience: Option<Client>,
}
