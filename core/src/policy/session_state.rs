//! The state of a session, as an administrator sees it.

use crate::base::codes::codes;
use crate::base::time::Time;
use crate::records::user::User;
use crate::store::query::SessionRecords;

codes! {
    /// The state of a session.
    SessionState {
        /// Its tokens are accepted.
        Live = "live",
        /// It was ended: by itself, with every session of its user or actor, or with a client it rests on.
        Ended = "ended",
        /// Its time is over.
        Expired = "expired",
        /// Older state was put back since it began.
        Superseded = "superseded",
        /// It was begun by a clock that was ahead: its date has not come yet.
        DatedAhead = "dated-ahead",
    }
}

/// Returns the state of a session at `now`, in this state epoch.
pub fn session_state(records: &SessionRecords, state_epoch: u64, now: Time) -> SessionState {
    let session = &records.session;
    let stands = |user: Option<&User>, epoch: u64| user.is_some_and(|u| u.is_active() && u.epoch == epoch);
    let actor_stands = |epoch| stands(records.actor.as_ref(), epoch);
    let clients = session.clients().stand(records.client.as_ref(), records.issuer.as_ref());
    if session.ended_at.is_some() {
        SessionState::Ended
    } else if session.state_epoch != state_epoch {
        SessionState::Superseded
    } else if now >= session.expires_at {
        SessionState::Expired
    } else if !stands(records.user.as_ref(), session.user_epoch)
        || session.actor.as_ref().is_some_and(|actor| !actor_stands(actor.epoch))
        || clients.is_err()
    {
        SessionState::Ended
    } else if session.signed_in_at.is_ahead_of(now) {
        SessionState::DatedAhead
    } else {
        SessionState::Live
    }
}
