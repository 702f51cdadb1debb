//! `/auth/me/sessions`: a person sees their sessions, and ends one or all of them.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use crate::api::bearer::{Presented, unauthorized};
use crate::api::context::Context;
use crate::api::shapes::SessionEntry;
use crate::api::step::Step;
use crate::base::time::Clocks;
use crate::engine::Engine;
use crate::http::problem::{Problem, done};
use crate::http::request::Request;
use crate::records::id::UserId;
use crate::records::session::Session;
use crate::records::user::User;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Found, Query, Records, SessionsRecords};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// `GET`
    List,
    /// `DELETE`
    EndAll,
    /// `DELETE` of one, by what the path says is its id.
    End(String),
}

/// Waits for the bearer, and unless all are to end, for their sessions.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    presented: Presented,
    wish: Wish,
    again: bool,
}

/// Waits for sessions to be ended.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Ending {
    looking: Looking,
}

pub(crate) fn begin(ctx: Context, request: &Request, one: Option<&str>) -> Step {
    let wish = match one {
        Some(id) => Wish::End(id.to_owned()),
        None if request.method == "DELETE" => Wish::EndAll,
        None => Wish::List,
    };
    match Presented::demanded(&ctx, request) {
        Ok(presented) => Looking { ctx, presented, wish, again: false }.ask(),
        Err(response) => Step::Reply(response),
    }
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    fn ask(self) -> Step {
        let query = self.presented.query().clone();
        Step::read(
            match self.wish {
                // All end at once, without a look at any.
                Wish::EndAll => Query::Bearer(query),
                Wish::List | Wish::End(_) => Query::Sessions(query),
            },
            self,
        )
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        let state_epoch = found.state_epoch;
        let SessionsRecords { bearer, sessions } = match (&self.wish, found.records) {
            (Wish::EndAll, Records::Bearer(bearer)) => {
                SessionsRecords { bearer: *bearer, sessions: Vec::new() }
            }
            (Wish::List | Wish::End(_), Records::Sessions(records)) => *records,
            _ => return Step::Reply(self.ctx.internal()),
        };
        let token = match self.presented.verify(engine, &bearer, state_epoch, self.ctx.now()) {
            Ok(token) => token,
            Err(refusal) => return Step::Reply(unauthorized(&self.ctx, refusal)),
        };
        let (user, session) = match token.person(None) {
            Ok(person) => person,
            Err((problem, refusal)) => return self.ctx.refuse(problem, refusal),
        };
        if self.wish != Wish::List && session.actor.is_some() {
            return self.ctx.refuse(Problem::ImpersonationRefused, Refusal::Impersonated);
        }
        let own = sessions.iter().filter(|s| s.user_id == user.id && s.state_epoch == state_epoch);
        let live = own.filter(|s| !s.is_over(user.epoch, self.ctx.now()));
        let by = [
            Change::RequireLiveSession(session.id.clone()),
            Change::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch },
        ];
        let by = by.into_iter().chain(session.clients().conditions()).collect::<Vec<_>>();
        let ended = match &self.wish {
            Wish::List => {
                let entries: Vec<SessionEntry<'_>> =
                    live.map(|s| entry(s, session, self.ctx.clocks())).collect();
                return Step::Reply(done(self.ctx.language, self.ctx.clocks().wall, Some(entries)));
            }
            Wish::EndAll => [
                Change::RaiseEpoch { id: user.id.clone(), epoch: user.epoch },
                Change::Audit(self.event(Kind::SessionsEnded, user, None)),
            ],
            Wish::End(id) => match live.into_iter().find(|s| s.id.as_str() == id) {
                None => return Step::Reply(self.ctx.problem(Problem::SessionUnknown)),
                Some(session) => [
                    Change::EndSession { id: session.id.clone(), at: self.ctx.now() },
                    Change::Audit(self.event(Kind::SessionEnded, user, Some(session))),
                ],
            },
        };
        Step::commit_in(state_epoch, by.into_iter().chain(ended).collect(), Ending { looking: self })
    }

    fn event(&self, kind: Kind, user: &User, session: Option<&Session>) -> Event {
        Event {
            subject: Some(user.id.clone()),
            client: session.map(|session| session.client_id.clone()),
            session: session.map(|session| session.id.clone()),
            ..self.ctx.event(kind)
        }
    }
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

impl Ending {
    pub(crate) fn settle(self, outcome: Outcome) -> Step {
        let ctx = &self.looking.ctx;
        Step::Reply(match outcome {
            Outcome::Applied => done(ctx.language, ctx.clocks().wall, None::<()>),
            Outcome::Conflict if self.looking.again => ctx.unavailable(),
            Outcome::Conflict => return Looking { again: true, ..self.looking }.ask(),
            Outcome::NotApplied | Outcome::Unknown => ctx.undone(outcome),
        })
    }
}
