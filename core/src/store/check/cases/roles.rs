//! Roles of administration. An officer of a case is one of every later case, too: but for the last two, no case leaves one.

use crate::records::role::{Role, Roles};
use crate::records::user::{Status, User};
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::Sample;

fn with(s: &Sample, user: &str, roles: &[Role]) -> User {
    User { roles: Roles::of(roles), ..s.user(user) }
}

fn officer(s: &Sample, user: &str) -> Change {
    Change::UpdateUser(with(s, user, &[Role::Officer]))
}

fn disabled_officer(s: &Sample, user: &str) -> Change {
    Change::UpdateUser(User { status: Status::Disabled, ..with(s, user, &[Role::Officer]) })
}

/// Takes the role of a user whose record was updated once.
fn none(s: &Sample, user: &str) -> Change {
    Change::UpdateUser(User { revision: 1, ..s.user(user) })
}

fn another(s: &Sample, besides: &str) -> Change {
    Change::RequireAnotherOfficer { besides: s.user_id(besides) }
}

pub(super) const CASES: &[Entry] = &[
    ("there is an officer, and another is left", |s| {
        Case::applies(
            [],
            [officer(s, "alice"), officer(s, "bob"), another(s, "alice"), none(s, "alice"), none(s, "bob")],
        )
    }),
    ("an officer is left where somebody who is not there ceases to be one", |s| {
        Case::applies([], [officer(s, "bob"), another(s, "nobody"), none(s, "bob")])
    }),
    ("there is no officer", |s| Case::conflicts([], [another(s, "alice")])),
    ("there is one officer", |s| Case::conflicts([], [officer(s, "alice"), another(s, "alice")])),
    ("the other officer is disabled", |s| {
        Case::conflicts([], [officer(s, "alice"), disabled_officer(s, "bob"), another(s, "alice")])
    }),
    ("the other user has other roles", |s| {
        let bob = with(s, "bob", &[Role::Operator, Role::Auditor]);
        Case::conflicts([], [Change::UpdateUser(bob), another(s, "alice")])
    }),
    ("the other officer is a client", |s| {
        Case::conflicts([], [Change::UpdateClient(s.portal_in_full()), another(s, "alice")])
    }),
    ("the other officer was deleted", |s| {
        let gone = Change::DeleteUser(s.user_id("bob"));
        Case::conflicts([], [officer(s, "bob"), gone, another(s, "alice")])
    }),
    ("users and clients with roles are read", |s| {
        let auditor = Change::UpdateUser(with(s, "boss", &[Role::Auditor]));
        Case::reads([auditor, disabled_officer(s, "bob"), Change::UpdateClient(s.portal_in_full())])
    }),
    ("an officer beside a disabled one is read", |s| {
        Case::reads([officer(s, "alice"), disabled_officer(s, "bob")])
    }),
    ("two officers are read", |s| {
        Case::reads([officer(s, "alice"), Change::UpdateUser(with(s, "bob", &Role::ALL))])
    }),
];
