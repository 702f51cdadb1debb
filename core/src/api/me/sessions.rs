//! `/auth/me/sessions`: a person sees their sessions, and ends one or all of them.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::convert::Infallible;

use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Next};
use crate::api::person::{BearerEndpoint, PendingChange, Person};
use crate::api::shapes::SessionEntry;
use crate::base::time::Clocks;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::records::id::UserId;
use crate::records::session::Session;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;

/// `GET`: the sessions.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct ListSessions;

/// `DELETE`: all of them.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct EndSessions;

/// `DELETE` of one, by the id in the path.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct EndSession(String);

impl BearerEndpoint for ListSessions {
    type Records = Vec<Session>;
    type Pending = Infallible;
    type Hash = Infallible;

    const DESCRIPTION: Description =
        Description::new("Lists one's sessions").done_with::<Vec<SessionEntry<'_>>>();
    const FOR_ACTORS: bool = true;

    fn parse(_: &Call<'_>) -> Result<Self, RequestError> {
        Ok(Self)
    }

    fn decide(&self, basis: &Basis<'_>, person: &Person<'_>, sessions: &Vec<Session>) -> Decided {
        let entry = |session| entry(session, person.session, basis.clocks());
        let entries: Vec<SessionEntry<'_>> = live(basis, person, sessions).map(entry).collect();
        Ok(basis.ctx.done(Some(entries)).into())
    }
}

impl BearerEndpoint for EndSessions {
    // All end at once, without a look at any.
    type Records = ();
    type Pending = PendingChange;
    type Hash = Infallible;

    const DESCRIPTION: Description = Description::new("Ends every session of one's own");

    fn parse(_: &Call<'_>) -> Result<Self, RequestError> {
        Ok(Self)
    }

    fn decide(&self, basis: &Basis<'_>, person: &Person<'_>, (): &()) -> Decided<PendingChange> {
        let mut changes = person.conditions();
        changes.push(Change::RaiseEpoch { id: person.user.id.clone(), epoch: person.user.epoch });
        changes.push(Change::Audit(person.event(basis.ctx, Kind::SessionsEnded)));
        Ok(Next::commit_in(basis.state_epoch, changes, PendingChange::Done))
    }
}

impl BearerEndpoint for EndSession {
    type Records = Vec<Session>;
    type Pending = PendingChange;
    type Hash = Infallible;

    const DESCRIPTION: Description =
        Description::new("Ends a session of one's own").refuses(&[Problem::SessionUnknown]);

    fn parse(call: &Call<'_>) -> Result<Self, RequestError> {
        Ok(Self(call.id().to_owned()))
    }

    fn decide(
        &self,
        basis: &Basis<'_>,
        person: &Person<'_>,
        sessions: &Vec<Session>,
    ) -> Decided<PendingChange> {
        let ctx = basis.ctx;
        let ended = live(basis, person, sessions).find(|session| session.id.as_str() == self.0);
        let ended = ended.ok_or_else(|| ctx.problem(Problem::SessionUnknown))?;
        let mut changes = person.conditions();
        changes.push(Change::EndSession { id: ended.id.clone(), at: basis.now() });
        changes.push(Change::Audit(Event {
            client: Some(ended.client_id.clone()),
            session: Some(ended.id.clone()),
            ..person.event(ctx, Kind::SessionEnded)
        }));
        Ok(Next::commit_in(basis.state_epoch, changes, PendingChange::Done))
    }
}

/// Returns those of `sessions` that are the person's and live.
fn live<'a>(
    basis: &Basis<'_>,
    person: &Person<'_>,
    sessions: &'a [Session],
) -> impl Iterator<Item = &'a Session> {
    let (user, state_epoch, now) = (person.user, basis.state_epoch, basis.now());
    let own = sessions.iter().filter(move |s| s.user_id == user.id && s.state_epoch == state_epoch);
    own.filter(move |s| !s.is_over(user.epoch, now))
}

fn entry<'a>(session: &'a Session, current: &Session, clocks: Clocks) -> SessionEntry<'a> {
    SessionEntry {
        id: session.id.as_str(),
        client_id: session.client_id.as_str(),
        scope: session.scope.as_str(),
        created_at: session.auth_time.rfc3339(),
        expires_at: clocks.on_the_wall(session.expires_at).rfc3339(),
        current: session.id == current.id,
        actor: session.actor_id().map(UserId::as_str),
    }
}
