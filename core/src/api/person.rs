//! Endpoints for a person with an access token. The token is verified first, then what its session is good for, and only
//! then the request.

use alloc::vec::Vec;

use crate::api::bearer::{Presented, unauthorized};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Hashing, ParsedRequest, Pending};
use crate::api::guess::{GuessAccount, GuessSource};
use crate::api::reply::Reply;
use crate::base::time::Time;
use crate::engine::Engine;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::records::session::{Purpose, Session};
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::{BearerQuery, BearerRecords, FactorsRecords, PasswordRecords, Query, Records};

/// An endpoint for the bearer of an access token. Its values are requests to it that have been parsed, the token apart.
pub(crate) trait BearerEndpoint: Sized {
    /// The records that are read beside the bearer.
    type Records: ReadWithBearer;
    /// As [`ParsedRequest::Pending`].
    type Pending: Pending;
    /// As [`ParsedRequest::Hash`].
    type Hash: Hashing<Bearer<Self>>;

    /// As [`Endpoint::DESCRIPTION`].
    const DESCRIPTION: Description;
    /// The restricted session that may use it, beside every session that is good for everything.
    const PURPOSE: Option<Purpose> = None;
    /// True where a session in which somebody acts as the person may use it.
    const FOR_ACTORS: bool = false;
    /// True where a password or a code may come with it.
    const GUESSES: bool = false;

    /// Parses a request.
    fn parse(call: &Call<'_>) -> Result<Self, RequestError>;
    /// Returns true if a password or a code of `person` is about to be compared.
    fn compares(&self, _person: &Person<'_>, _records: &Self::Records, _now: Time) -> bool {
        Self::GUESSES
    }
    /// As [`ParsedRequest::decide`].
    fn decide(
        &self,
        basis: &Basis<'_>,
        person: &Person<'_>,
        records: &Self::Records,
    ) -> Decided<Self::Pending, Self::Hash>;
}

/// Records that one query reads together with a bearer.
pub(crate) trait ReadWithBearer {
    /// Returns the query.
    fn query(bearer: BearerQuery) -> Query;
    /// Takes apart what was read; none where it is the answer to another query.
    fn of(records: &Records) -> Option<(&BearerRecords, &Self)>;
}

/// Nothing else.
impl ReadWithBearer for () {
    fn query(bearer: BearerQuery) -> Query {
        Query::Bearer(bearer)
    }

    fn of(records: &Records) -> Option<(&BearerRecords, &Self)> {
        let Records::Bearer(bearer) = records else { return None };
        Some((bearer, &()))
    }
}

/// The sessions of the person.
impl ReadWithBearer for Vec<Session> {
    fn query(bearer: BearerQuery) -> Query {
        Query::Sessions(bearer)
    }

    fn of(records: &Records) -> Option<(&BearerRecords, &Self)> {
        let Records::Sessions(records) = records else { return None };
        Some((&records.bearer, &records.sessions))
    }
}

/// The second factors of the person, and the places that they know.
impl ReadWithBearer for FactorsRecords {
    fn query(bearer: BearerQuery) -> Query {
        Query::Factors(bearer)
    }

    fn of(records: &Records) -> Option<(&BearerRecords, &Self)> {
        let Records::Factors(records) = records else { return None };
        Some((&records.bearer, records))
    }
}

/// The password of the person, where they have one, and the places that they know.
impl ReadWithBearer for PasswordRecords {
    fn query(bearer: BearerQuery) -> Query {
        Query::Password(bearer)
    }

    fn of(records: &Records) -> Option<(&BearerRecords, &Self)> {
        let Records::Password(records) = records else { return None };
        Some((&records.bearer, records))
    }
}

/// A request of a person.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Bearer<E> {
    presented: Presented,
    /// The request, or the error in it: a bad token is answered before a bad body.
    asked: Result<E, RequestError>,
}

/// The person whose token was believed, and their session.
#[derive(Clone, Copy)]
pub(crate) struct Person<'a> {
    pub(crate) user: &'a User,
    pub(crate) session: &'a Session,
}

impl<E: BearerEndpoint> Endpoint for Bearer<E> {
    const DESCRIPTION: Description = Description { guesses: E::GUESSES, ..E::DESCRIPTION };

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        let presented = Presented::demanded(&call.ctx, call.request)?;
        Ok(Self { presented, asked: E::parse(call) })
    }
}

impl<E: BearerEndpoint> ParsedRequest for Bearer<E> {
    type Pending = E::Pending;
    type Hash = E::Hash;

    fn query(&self) -> Query {
        E::Records::query(self.presented.query().clone())
    }

    fn guess(&self, basis: &Basis<'_>, records: &Records) -> Option<GuessSource> {
        if !E::GUESSES {
            return None;
        }
        self.with_person(basis, records, |asked, person, records| {
            let compares = asked.compares(person, records, basis.now());
            compares.then(|| basis.ctx.guess_at(GuessAccount::of_user(&person.user.id)))
        })
        .ok()?
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<E::Pending, E::Hash> {
        self.with_person(basis, &records, |asked, person, records| asked.decide(basis, person, records))?
    }
}

impl<E: BearerEndpoint> Bearer<E> {
    /// Verifies the token, and goes on with the request of its person.
    fn with_person<T>(
        &self,
        basis: &Basis<'_>,
        records: &Records,
        then: impl FnOnce(&E, &Person<'_>, &E::Records) -> T,
    ) -> Result<T, Reply> {
        let ctx = basis.ctx;
        let (bearer, records) = E::Records::of(records).ok_or_else(|| ctx.internal())?;
        let token = self.presented.verify(basis, bearer).map_err(|refusal| unauthorized(ctx, refusal))?;
        let person = token.person(E::PURPOSE).map_err(|(problem, refusal)| ctx.refuse(problem, refusal))?;
        if person.session.actor.is_some() && !E::FOR_ACTORS {
            return Err(ctx.refuse(Problem::ImpersonationRefused, Refusal::Impersonated));
        }
        let asked = self.asked.as_ref().map_err(|problem| ctx.malformed(problem.clone()))?;
        Ok(then(asked, &person, records))
    }
}

impl Person<'_> {
    /// Returns what must still hold when something is written for them: the session and its user are as read, and the
    /// clients that the session rests on stand.
    pub(crate) fn conditions(&self) -> Vec<Change> {
        let own = [Change::RequireLiveSession(self.session.id.clone()), Change::require_user(self.user)];
        own.into_iter().chain(self.session.clients().conditions()).collect()
    }

    /// Returns an audit event about them.
    pub(crate) fn event(&self, ctx: &Context, kind: Kind) -> Event {
        Event { subject: Some(self.user.id.clone()), ..ctx.event(kind) }
    }
}

/// A person's change that is about to be durable, or its refusal. There is nothing to tell beside that.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum PendingChange {
    Done,
    Refused(Problem, Refusal),
}

impl Pending for PendingChange {
    fn applied(self, ctx: &Context, _engine: &Engine) -> Reply {
        match self {
            Self::Done => ctx.done(None::<()>),
            Self::Refused(problem, refusal) => ctx.refuse(problem, refusal),
        }
    }
}
