//! Operations on sessions.

use alloc::vec;

use crate::admin::error::{AdminError, Item, Obstacle};
use crate::admin::step::{Decision, Operation, OperationInputs, Plan};
use crate::admin::users::{event, found, user_query};
use crate::policy::session_state::{SessionState, session_state};
use crate::records::id::{SessionId, UserId, UserRef};
use crate::records::session::Session;
use crate::records::user::User;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::page::{Page, PageQuery};
use crate::store::query::{Query, Records, SessionPageQuery, SessionRecords};

/// Lists sessions, whatever became of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ListSessions {
    /// The user whose sessions are listed; everybody's where none.
    pub user: Option<UserId>,
    /// The page.
    pub page: PageQuery,
}

/// A session, and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    /// The session.
    pub session: Session,
    /// Its state.
    pub state: SessionState,
}

/// Ends a session, and every token of it.
#[derive(Clone, Debug, PartialEq)]
pub struct EndSession {
    /// The session.
    pub session: SessionId,
    /// The user whose session it is; a session of somebody else is not found. None: anybody's.
    pub user: Option<UserId>,
}

/// Ends every session of a user.
#[derive(Clone, Debug, PartialEq)]
pub struct EndUserSessions {
    /// The user.
    pub user: UserRef,
}

impl Operation for ListSessions {
    type Output = Page<ListedSession>;

    fn query(&self) -> Query {
        Query::SessionPage(SessionPageQuery { user: self.user.clone(), page: self.page.clone() })
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Self::Output>, AdminError> {
        let Records::SessionPage(Page { items, next }) = records else { return Err(AdminError::Internal) };
        let listed = |records: &SessionRecords| ListedSession {
            session: records.session.clone(),
            state: session_state(records, inputs.state_epoch, inputs.request.now),
        };
        Ok(Decision::Done(Page { items: items.iter().map(listed).collect(), next: next.clone() }))
    }
}

impl Operation for EndSession {
    type Output = Session;

    fn query(&self) -> Query {
        Query::Session(self.session.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Session>, AdminError> {
        let Records::Session(found) = records else { return Err(AdminError::Internal) };
        let found =
            found.as_deref().filter(|session| self.user.as_ref().is_none_or(|user| *user == session.user_id));
        let session = found.ok_or_else(|| AdminError::NotFound(Item::Session(self.session.clone())))?;
        if session.ended_at.is_some() {
            return Err(AdminError::Refused(Obstacle::AlreadyEnded));
        }
        let now = inputs.request.now;
        let ended = Event {
            subject: Some(session.user_id.clone()),
            client: Some(session.client_id.clone()),
            session: Some(session.id.clone()),
            ..Event::new(Kind::SessionEnded, now)
        };
        let changes = vec![Change::EndSession { id: session.id.clone(), at: now }, Change::Audit(ended)];
        Ok(Plan::new(changes, Session { ended_at: Some(now), ..session.clone() }).into())
    }
}

impl Operation for EndUserSessions {
    type Output = User;

    fn query(&self) -> Query {
        user_query(&self.user)
    }

    fn decide(&self, inputs: &OperationInputs<'_>, records: &Records) -> Result<Decision<User>, AdminError> {
        let mut user = found(&self.user, records)?.user.clone();
        let changes = vec![
            Change::RaiseEpoch { id: user.id.clone(), epoch: user.epoch },
            event(inputs, Kind::SessionsEnded, &user.id),
        ];
        user.end_sessions();
        let retry = user_query(&UserRef::from(&user.id));
        Ok(Plan::new(changes, user).retry_with(retry).into())
    }
}
