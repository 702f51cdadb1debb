//! Sessions, their refresh tokens, and what ends them.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::records::client::ClientRef;
use crate::records::session::{Actor, MAX_DELETED, MAX_USED, Purpose, RefreshToken, Session};
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::{NOW, Sample, scope};
use crate::store::query::MAX_SESSIONS;

/// A session that names everyone a session can name.
fn full(s: &Sample) -> Session {
    Session {
        user_epoch: 3,
        actor: Some(Actor { id: s.user_id("boss"), epoch: 0 }),
        bind: true,
        for_audience: true,
        purpose: Purpose::Enrol,
        scope: scope("profile email"),
        auth_time: NOW.plus(1),
        methods: ["pwd", "otp"].map(ToString::to_string).into(),
        state_epoch: s.state_epoch.saturating_add(7),
        client_epoch: None,
        issuer: Some(s.client("backend").reference()),
        signed_in_at: NOW.plus(2),
        ..s.session(2)
    }
}

/// Rotates the first token of session 1 so often: token 1, 2, 3 and so on.
fn rotations(s: &Sample, times: u64) -> impl Iterator<Item = Change> {
    let s = *s;
    (1..=times).map(move |number| s.rotate(number, number.saturating_add(1), 1, number))
}

/// A session of alice's that began `late` seconds later.
fn later(s: &Sample, number: u64, late: u64) -> Session {
    Session { auth_time: NOW.plus(late), ..s.session(number) }
}

fn revoke_token(s: &Sample, expires: u64) -> Change {
    Change::RevokeToken { token_id: s.token_id(1), expires_at: NOW.plus(expires) }
}

fn raise(s: &Sample, user: &str, epoch: u64) -> Change {
    Change::RaiseEpoch { id: s.user_id(user), epoch }
}

pub(super) const CASES: &[Entry] = &[
    ("a session is inserted with a refresh token", |s| Case::applies([], [s.begin(1)])),
    ("a session is inserted without a refresh token", |s| {
        Case::applies([], [Change::InsertSession { session: s.session(1), refresh: None }])
    }),
    ("a person's sessions are listed, the newest first", |s| {
        let of_bob = Session { user_id: s.user_id("bob"), ..later(s, 3, 30) };
        let sessions = [later(s, 1, 10), later(s, 2, 20), of_bob, later(s, 4, 20), later(s, 5, 5)];
        Case::reads(sessions.into_iter().zip(1..).map(|(session, number)| s.begin_session(session, number)))
    }),
    ("a session that names everyone is inserted", |s| {
        Case::applies([s.begin(1)], [s.begin_session(full(s), 2)])
    }),
    ("a session is inserted whose id is taken", |s| {
        Case::conflicts([s.begin(1)], [s.begin_session(s.session(1), 2)])
    }),
    ("a session is inserted whose refresh token is taken", |s| {
        Case::conflicts([s.begin(1)], [s.begin_session(s.session(2), 1)])
    }),
    ("a session of somebody who is not there is inserted", |s| {
        Case::conflicts([], [s.begin_session(Session { user_id: s.user_id("nobody"), ..s.session(1) }, 1)])
    }),
    ("a session is live", |s| Case::applies([s.begin(1)], [Change::RequireLiveSession(s.session_id(1))])),
    ("an ended session is live", |s| {
        Case::conflicts([s.begin(1), s.end(1)], [Change::RequireLiveSession(s.session_id(1))])
    }),
    ("a session that is not there is live", |s| {
        Case::conflicts([], [Change::RequireLiveSession(s.session_id(1))])
    }),
    ("a session is ended", |s| Case::applies([s.begin(1), s.begin(2)], [s.end(1)])),
    ("an ended session is ended again", |s| Case::conflicts([s.begin(1), s.end(1)], [s.end(1)])),
    ("a session that is not there is ended", |s| Case::conflicts([], [s.end(1)])),
    ("a refresh token is used", |s| Case::applies([s.begin(1), s.begin(2)], [s.rotate(1, 3, 1, 1)])),
    ("a used refresh token is used again", |s| {
        Case::conflicts([s.begin(1), s.rotate(1, 2, 1, 1)], [s.rotate(1, 3, 1, 1)])
    }),
    ("a refresh token that is not there is used", |s| Case::conflicts([s.begin(1)], [s.rotate(4, 2, 1, 1)])),
    ("a refresh token is used whose successor's digest is taken", |s| {
        Case::conflicts([s.begin(1), s.begin(2)], [s.rotate(1, 2, 1, 1)])
    }),
    ("a refresh token is used whose successor's session is not there", |s| {
        Case::conflicts([s.begin(1)], [s.rotate(1, 2, 4, 1)])
    }),
    ("refreshes are counted, of a token that is there and of one that is not", |s| {
        let count = |number| Change::CountRefresh(s.refresh_digest(number));
        Case::applies([s.begin(1)], [count(1), count(1), count(4)])
    }),
    ("a successor takes the count over, less what is recorded", |s| {
        let count = || Change::CountRefresh(s.refresh_digest(1));
        let mut rotate = s.rotate(1, 2, 1, 1);
        if let Change::RotateRefresh { recorded, .. } = &mut rotate {
            *recorded = 2;
        }
        Case::applies([s.begin(1), count(), count()], [rotate, s.rotate(2, 3, 1, 2)])
    }),
    ("a successor takes no count over where all of it is recorded", |s| {
        let mut rotate = s.rotate(1, 2, 1, 1);
        if let Change::RotateRefresh { recorded, successor, .. } = &mut rotate {
            (*recorded, successor.refreshes) = (9, 5);
        }
        Case::applies([s.begin(1)], [rotate])
    }),
    ("a session keeps its latest used tokens", |s| {
        let times = MAX_USED.saturating_add(3);
        Case::applies([s.begin(1), s.begin(16)].into_iter().chain(rotations(s, times)), [])
    }),
    ("one rotation deletes a few old tokens, the oldest", |s| {
        let before = [s.begin(1), s.begin(16)].into_iter().chain(rotations(s, MAX_USED));
        let last = MAX_USED.saturating_add(1);
        let far = MAX_USED.saturating_add(MAX_DELETED).saturating_add(3);
        Case::applies(before, [s.rotate(last, 12, 1, far)])
    }),
    ("a refresh token is unused", |s| {
        Case::applies([s.begin(1)], [Change::RequireUnusedRefresh(s.refresh_digest(1))])
    }),
    ("a used refresh token is unused", |s| {
        let unused = Change::RequireUnusedRefresh(s.refresh_digest(1));
        Case::conflicts([s.begin(1), s.rotate(1, 2, 1, 1)], [unused])
    }),
    ("a refresh token that is not there is unused", |s| {
        Case::conflicts([s.begin(1)], [Change::RequireUnusedRefresh(s.refresh_digest(4))])
    }),
    ("every session of a user is ended", |s| Case::applies([s.begin(1)], [raise(s, "alice", 0)])),
    ("every session of a user is ended, by another epoch than the user's", |s| {
        Case::conflicts([raise(s, "alice", 0)], [raise(s, "alice", 0)])
    }),
    ("every session of somebody who is not there is ended", |s| Case::conflicts([], [raise(s, "nobody", 0)])),
    ("an access token is revoked", |s| Case::applies([s.begin(1)], [revoke_token(s, 60)])),
    ("an access token is revoked again", |s| Case::applies([revoke_token(s, 60)], [revoke_token(s, 90)])),
    ("an ended session is not listed", |s| Case::reads([s.begin(1), s.begin(2), s.begin(4), s.end(4)])),
    ("an ended session lists nothing", |s| Case::reads([s.begin(1), s.begin(2), s.end(1)])),
    ("a session whose actor no longer stands is not listed", |s| {
        let acted = |number, name, epoch| {
            let actor = Some(Actor { id: s.user_id(name), epoch });
            s.begin_session(Session { actor, ..s.session(number) }, number)
        };
        let mut bob = s.user("bob");
        bob.disable();
        bob.epoch = 0;
        let sessions = [acted(4, "boss", 0), acted(5, "boss", 1), acted(6, "bob", 0), acted(7, "nobody", 0)];
        Case::reads([s.begin(1), Change::UpdateUser(bob)].into_iter().chain(sessions))
    }),
    ("a session whose client no longer stands is not listed", |s| {
        let of = |number, client_epoch, issuer| {
            s.begin_session(Session { client_epoch, issuer, ..s.session(number) }, number)
        };
        let mut backend = s.client("backend");
        backend.enabled = false;
        let gone = ClientRef { id: s.client_id("nobody"), epoch: 0 };
        let stale = s.client("portal").epoch.saturating_add(1);
        let same = Some(s.client("portal").reference());
        let sessions = [
            of(4, Some(stale), None),
            of(5, None, None),
            of(6, None, Some(s.client("backend").reference())),
            of(7, None, Some(gone)),
            of(8, None, same),
        ];
        Case::reads([s.begin(1), Change::UpdateClient(backend)].into_iter().chain(sessions))
    }),
    ("no more sessions are listed than there is room for", |s| {
        let most = u64::try_from(MAX_SESSIONS).unwrap_or_default();
        let all: Vec<Change> = (1..=most.saturating_add(2))
            .map(|number| Change::InsertSession { session: later(s, number, number / 7), refresh: None })
            .collect();
        Case::applies([], all)
    }),
    ("a session is read with everyone it names", |s| {
        let issued = Session { issuer: Some(s.client("portal").reference()), ..s.session(1) };
        let token = RefreshToken { session_id: s.session_id(2), ..s.refresh(9, 2) };
        let lost = Change::InsertSession { session: full(s), refresh: Some(token) };
        Case::reads([s.begin_session(issued, 1), lost, s.rotate(9, 10, 2, 1), revoke_token(s, 60)])
    }),
];
