//! The promises about every commit: in order, all or none. And the changes that are about no record.

use alloc::vec::Vec;

use crate::records::client::Client;
use crate::records::factor::{Lockout, LockoutOf};
use crate::records::user::User;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::{NOW, Sample};

/// A change of every kind that writes something, each about something of its own, after [`before`].
fn everything(s: &Sample) -> Vec<Change> {
    let (alice, bob) = (|| s.user_id("alice"), || s.user_id("bob"));
    let after = Lockout { wrong: 1, ..Lockout::default() };
    let before = Lockout::default();
    let codes = Change::AddBackupCodes { user: bob(), device: s.device_id(9), codes: [s.code(9)].into() };
    [
        s.issue(5),
        s.spend(1),
        s.repeat(2, true),
        s.revoke(3),
        s.begin(5),
        s.rotate(1, 9, 1, 1),
        Change::CountRefresh(s.refresh_digest(2)),
        s.end(3),
        Change::RevokeToken { token_id: s.token_id(1), expires_at: NOW },
        s.ask(4),
        s.count_wrong(1, 0, false),
        s.answer_for(2, 0, 1),
        s.repeat_answer(3, 0, true),
        Change::InsertDevice(s.device(9, "bob")),
        s.verify(2, 7),
        s.use_step(1, 7, 8),
        s.remove(3, false),
        codes,
        Change::KeepBackupCodes { user: bob(), device: s.device_id(8) },
        s.use_code("alice", 1),
        Change::DropBackupCodes(alice()),
        Change::SetLockout { user: alice(), before, after },
        s.learn(2, NOW),
        s.guess_at(2, LockoutOf::Password, Lockout::NONE, after),
        s.guess_at(2, LockoutOf::Factors, Lockout::NONE, after),
        s.fail(NOW),
        Change::SetPasswordLockout { user: alice(), before, after },
        s.set_password(2),
        s.replace_hash(2, 3),
        Change::RaiseEpoch { id: alice(), epoch: 0 },
        Change::InsertUser(s.user("carol")),
        Change::UpdateUser(User { epoch: 5, ..s.alice_in_full() }),
        Change::DeleteUser(s.user_id("boss")),
        Change::InsertClient(s.client("nobody")),
        Change::UpdateClient(s.portal_in_full()),
        Change::DeleteClient(s.client_id("backend")),
        audit(s),
    ]
    .into()
}

/// Returns the changes that write what [`everything`] is about.
fn before(s: &Sample) -> Vec<Change> {
    let spend = s.spend_for(2, crate::records::delivery::TicketResult::Session(s.opened(1)));
    let of_bob = Change::AddBackupCodes {
        user: s.user_id("bob"),
        device: s.device_id(8),
        codes: [s.code(7), s.code(8)].into(),
    };
    let tickets = [s.issue(1), s.issue(2), s.issue(3), spend];
    let sessions = [s.begin(1), s.begin(2), s.begin(3)];
    let challenges = [s.ask(1), s.ask(2), s.ask(3), s.answer_for(3, 0, 1)];
    let factors = [s.enrol(1), s.enrol(2), s.enrol(3), s.add_codes(1, 1..=3), s.verify(1, 7), of_bob];
    let account = [s.set_password(1), s.learn(1, NOW)];
    tickets.into_iter().chain(sessions).chain(challenges).chain(factors).chain(account).collect()
}

fn audit(s: &Sample) -> Change {
    let event = Event { subject: Some(s.user_id("alice")), ..Event::new(Kind::TicketIssued, NOW) };
    Change::Audit(event)
}

pub(super) const CASES: &[Entry] = &[
    ("the state epoch is as read", |s| Case::applies([], [Change::RequireStateEpoch(s.state_epoch)])),
    ("the state epoch is another than read", |s| {
        Case::conflicts([], [Change::RequireStateEpoch(s.state_epoch.wrapping_add(1))])
    }),
    ("an audit row is written", |s| Case::applies([], [audit(s)])),
    ("nothing is written, to see whether it could be", |_| Case::applies([], [Change::Probe])),
    ("nothing is written, for an answer about nobody", |_| Case::applies([], [Change::DummyWrite])),
    ("a ticket is inserted and spent in one commit", |s| Case::applies([], [s.issue(1), s.spend(1)])),
    ("a ticket is spent and inserted in one commit", |s| Case::conflicts([], [s.spend(1), s.issue(1)])),
    ("a ticket is spent twice in one commit", |s| Case::conflicts([s.issue(1)], [s.spend(1), s.spend(1)])),
    ("a user is updated twice in one commit", |s| {
        let again = User { revision: 1, ..s.user("alice") };
        Case::applies([], [Change::UpdateUser(s.alice_in_full()), Change::UpdateUser(again)])
    }),
    ("a user is inserted after their session in one commit", |s| {
        let session = crate::records::session::Session { user_id: s.user_id("carol"), ..s.session(1) };
        Case::conflicts([], [s.begin_session(session, 1), Change::InsertUser(s.user("carol"))])
    }),
    ("a user is inserted before their session in one commit", |s| {
        let session = crate::records::session::Session { user_id: s.user_id("carol"), ..s.session(1) };
        Case::applies([], [Change::InsertUser(s.user("carol")), s.begin_session(session, 1)])
    }),
    ("a client is deleted and inserted in one commit", |s| {
        let anew = Client { epoch: 7, ..s.client("portal") };
        Case::applies([], [Change::DeleteClient(s.client_id("portal")), Change::InsertClient(anew)])
    }),
    ("a change of every kind is written in one commit", |s| Case::applies(before(s), everything(s))),
    ("a change of every kind is taken back, as the last condition does not hold", |s| {
        let wrong = Change::RequireStateEpoch(s.state_epoch.wrapping_add(1));
        Case::conflicts(before(s), everything(s).into_iter().chain([wrong]))
    }),
];
