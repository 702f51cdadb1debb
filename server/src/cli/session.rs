//! `gatepass session`: the sessions of users.

use clap::Subcommand;
use gatepass_core::admin::sessions::{EndSession, EndUserSessions, ListSessions, ListedSession};
use gatepass_core::admin::users::ShowUser;
use gatepass_core::admin::{AdminError, Obstacle};
use gatepass_core::base::time::Time;
use gatepass_core::policy::session_state::SessionState;
use gatepass_core::records::id::{SessionId, UserId};
use gatepass_core::records::session::Session;

use super::context::Context;
use super::edit::{named, parsed};
use crate::error::ProgramError;
use crate::output::Record;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List sessions, the newest first
    List {
        /// Only sessions of this user: id, user name, e-mail address or telephone number
        #[arg(long)]
        user: Option<String>,
        /// Also sessions that are over
        #[arg(long)]
        all: bool,
    },
    /// End a session, or every session of a user; their tokens are refused from then on
    End {
        /// The session's id
        #[arg(required_unless_present = "user")]
        id: Option<String>,
        /// End every session of this user: id, user name, e-mail address or telephone number
        #[arg(long, conflicts_with = "id")]
        user: Option<String>,
    },
}

/// Returns the facts to show about a session.
fn record(session: &Session, state: SessionState) -> Record {
    Record::new()
        .with("id", session.id.as_str())
        .with("state", state.as_str())
        .with("user_id", session.user_id.as_str())
        .with("client_id", session.client_id.as_str())
        .with("issuer", session.issuer.as_ref().map(|issuer| issuer.id.as_str()))
        .with("bind", session.bind)
        .with("purpose", session.purpose.as_str())
        .with("scope", session.scope.to_string())
        .with("actor", session.actor_id().map(UserId::as_str))
        .with("methods", session.methods.clone())
        .with("signed_in_at", session.signed_in_at.rfc3339())
        .with("expires_at", session.expires_at.rfc3339())
        .with("ended_at", session.ended_at.map(Time::rfc3339))
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::List { user, all } => list(context, user.as_deref(), all),
        Verb::End { id: Some(id), .. } => end(context, &id),
        Verb::End { id: None, user } => end_all(context, &user.unwrap_or_default()),
    }
}

fn list(context: &Context, user: Option<&str>, all: bool) -> Result<(), ProgramError> {
    let admin = context.reading()?;
    let user = user.map(|who| admin.run(ShowUser { user: named(who) })).transpose()?.map(|user| user.id);
    let mut rows =
        context.out.rows(&["id", "state", "user_id", "client_id", "actor", "signed_in_at", "expires_at"])?;
    let list = |page| ListSessions { user: user.clone(), page };
    admin.pages(list, |ListedSession { session, state }| {
        if all || state == SessionState::Live {
            rows.print(record(&session, state))?;
        }
        Ok(())
    })?;
    Ok(rows.end()?)
}

fn end(context: &Context, given: &str) -> Result<(), ProgramError> {
    let session = parsed("the session id", given, SessionId::parse)?;
    let ended = context.writing()?.run(EndSession { session: session.clone(), user: None });
    let ended = ended.map_err(|error| {
        error.into_message(|error| {
            matches!(error, AdminError::Refused(Obstacle::AlreadyEnded) | AdminError::Conflict).then(|| {
                ProgramError::failed(format!("session {session} was already ended: nothing was changed"))
            })
        })
    })?;
    Ok(context.out.one(&record(&ended, SessionState::Ended))?)
}

fn end_all(context: &Context, who: &str) -> Result<(), ProgramError> {
    let ended = context.writing()?.run(EndUserSessions { user: named(who) });
    let user = ended.map_err(|error| {
        error.or_conflict(|| format!("user {who:?} is being changed by others all the time: try again"))
    })?;
    let record = Record::new().with("id", user.id.as_str()).with("username", user.username.as_str());
    Ok(context.out.one(&record.with("sessions_ended", true))?)
}
