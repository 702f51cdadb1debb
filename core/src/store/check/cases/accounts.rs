//! Users, their passwords, and what is remembered of their sign-ins.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::base::time::LEEWAY;
use crate::records::factor::{Lockout, LockoutOf};
use crate::records::sign_in_history::{MAX_FAILURES, MAX_PLACES};
use crate::records::user::{User, Username};
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::{NOW, Sample};

fn is(s: &Sample, user: &str, epoch: u64) -> Change {
    Change::RequireUserEpoch { id: s.user_id(user), epoch }
}

fn delete(s: &Sample) -> Change {
    Change::DeleteUser(s.user_id("alice"))
}

fn guessed(s: &Sample, before: Lockout, after: Lockout) -> Change {
    Change::SetPasswordLockout { user: s.user_id("alice"), before, after }
}

/// The e-mail address of `Sample::alice_in_full`.
fn email(s: &Sample) -> String {
    s.alice_in_full().email.unwrap_or_default()
}

/// The telephone number of `Sample::alice_in_full`.
fn phone(s: &Sample) -> String {
    s.alice_in_full().phone.unwrap_or_default()
}

fn disabled(s: &Sample) -> Change {
    let mut alice = s.user("alice");
    alice.disable();
    alice.epoch = 0;
    Change::UpdateUser(alice)
}

/// Something of everything that belongs to alice.
fn belongings(s: &Sample) -> Vec<Change> {
    let lockout = Lockout { wrong: 3, ..Lockout::default() };
    let guessed = Change::SetLockout { user: s.user_id("alice"), before: Lockout::default(), after: lockout };
    let factors = [s.enrol(1), s.add_codes(1, 1..=2), s.verify(1, 7), guessed];
    let account = [s.set_password(1), s.learn(1, NOW), s.fail(NOW)];
    let sign_ins = [s.issue(1), s.begin(1), s.rotate(1, 2, 1, 1), s.ask(1)];
    factors.into_iter().chain(account).chain(sign_ins).collect()
}

/// The places that have lockouts of their own.
const PLACES: u64 = 4;
const ONE: Lockout = Lockout { wrong: 1, locks: 0, locked_until: None };
const LOCKED: Lockout = Lockout { wrong: 10, locks: 2, locked_until: Some(NOW) };

pub(super) const CASES: &[Entry] = &[
    ("people and services are read", |_| Case::reads([])),
    ("a user is inserted", |s| Case::applies([], [Change::InsertUser(s.user("carol"))])),
    ("a user is inserted whose id is taken", |s| {
        Case::conflicts([], [Change::InsertUser(User { id: s.user_id("alice"), ..s.user("carol") })])
    }),
    ("a user is inserted whose user name is taken", |s| {
        let named = User { username: s.user("alice").username, ..s.user("carol") };
        Case::conflicts([], [Change::InsertUser(named)])
    }),
    ("a user is inserted whose user name is another's e-mail address", |s| {
        let carol = User { username: Username::known(email(s).to_lowercase()), ..s.user("carol") };
        Case::conflicts([Change::UpdateUser(s.alice_in_full())], [Change::InsertUser(carol)])
    }),
    ("a user is inserted whose user name is another's telephone number", |s| {
        let carol = User { username: Username::known(phone(s).replace(' ', "")), ..s.user("carol") };
        Case::conflicts([Change::UpdateUser(s.alice_in_full())], [Change::InsertUser(carol)])
    }),
    ("a user is inserted whose e-mail address is another's user name", |s| {
        let bob = User { username: Username::known(email(s)), ..s.user("bob") };
        let carol = User { email: Some(email(s).to_uppercase()), ..s.user("carol") };
        Case::conflicts([Change::UpdateUser(bob)], [Change::InsertUser(carol)])
    }),
    ("a user is inserted whose user name is another's in decomposed letters", |s| {
        let named = |name: &str, user| User {
            username: Username::known(s.user("dora").username.as_str().to_string() + name),
            ..user
        };
        let bob = named("Jos\u{e9}", s.user("bob"));
        Case::conflicts(
            [Change::UpdateUser(bob)],
            [Change::InsertUser(named("Jose\u{301}", s.user("carol")))],
        )
    }),
    ("a user is inserted whose user name is another's but for the case of letters", |s| {
        let name = Username::known(s.user("alice").username.as_str().to_uppercase());
        Case::applies([], [Change::InsertUser(User { username: name, ..s.user("carol") })])
    }),
    ("a user is inserted with one identifier twice", |s| {
        let carol = User {
            username: Username::known(email(s)),
            email: Some(email(s).to_uppercase()),
            ..s.user("carol")
        };
        Case::applies([], [Change::InsertUser(carol)])
    }),
    ("a user gets another's e-mail address", |s| {
        let bob = User { email: Some(email(s).to_uppercase()), ..s.user("bob") };
        Case::conflicts([Change::UpdateUser(s.alice_in_full())], [Change::UpdateUser(bob)])
    }),
    ("a user gets another's telephone number in another spelling", |s| {
        let bob = User { phone: Some(phone(s).replace('+', "00")), ..s.user("bob") };
        Case::conflicts([Change::UpdateUser(s.alice_in_full())], [Change::UpdateUser(bob)])
    }),
    ("a user gets as user name the own e-mail address", |s| {
        let named = User { username: Username::known(email(s)), revision: 1, ..s.alice_in_full() };
        Case::applies([Change::UpdateUser(s.alice_in_full())], [Change::UpdateUser(named)])
    }),
    ("the identifiers that a user gave up are free", |s| {
        let gave_up = User { revision: 1, ..s.user("alice") };
        let bob = User { email: Some(email(s)), phone: Some(phone(s)), ..s.user("bob") };
        Case::applies(
            [Change::UpdateUser(s.alice_in_full()), Change::UpdateUser(gave_up)],
            [Change::UpdateUser(bob)],
        )
    }),
    ("the identifiers of a deleted user are free", |s| {
        let bob = User { email: Some(email(s)), phone: Some(phone(s)), ..s.user("bob") };
        Case::applies([Change::UpdateUser(s.alice_in_full()), delete(s)], [Change::UpdateUser(bob)])
    }),
    ("a user is updated", |s| Case::applies([], [Change::UpdateUser(s.alice_in_full())])),
    ("a user is disabled", |s| {
        let mut alice = s.alice_in_full();
        alice.disable();
        Case::applies([], [Change::UpdateUser(alice)])
    }),
    ("a user is updated twice, by each revision", |s| {
        let again = User { revision: 1, ..s.user("alice") };
        Case::applies([Change::UpdateUser(s.alice_in_full())], [Change::UpdateUser(again)])
    }),
    ("a user is updated, though the record was updated since", |s| {
        Case::conflicts([Change::UpdateUser(s.alice_in_full())], [Change::UpdateUser(s.user("alice"))])
    }),
    ("a user is updated by a later revision than the record's", |s| {
        Case::conflicts([], [Change::UpdateUser(User { revision: 1, ..s.user("alice") })])
    }),
    ("a user who is not there is updated", |s| Case::conflicts([], [Change::UpdateUser(s.user("carol"))])),
    ("a user gets another user name", |s| {
        let renamed = User { username: s.user("carol").username, ..s.user("alice") };
        Case::applies([], [Change::UpdateUser(renamed)])
    }),
    ("a user gets a user name that is taken", |s| {
        let renamed = User { username: s.user("bob").username, ..s.user("alice") };
        Case::conflicts([], [Change::UpdateUser(renamed)])
    }),
    ("a user is deleted, with all that goes at once", |s| Case::applies(belongings(s), [delete(s)])),
    ("a user who is not there is deleted", |s| Case::conflicts([], [Change::DeleteUser(s.user_id("carol"))])),
    ("the user name of a deleted user is free", |s| {
        let named = User { username: s.user("alice").username, ..s.user("carol") };
        Case::applies([delete(s)], [Change::InsertUser(named)])
    }),
    ("a user is inserted whose id a deleted user had, of whom a session is left", |s| {
        Case::conflicts([s.begin(1), delete(s)], [Change::InsertUser(s.user("alice"))])
    }),
    ("a user is inserted whose id a deleted user had, of whom a ticket is left", |s| {
        Case::conflicts([s.issue(1), delete(s)], [Change::InsertUser(s.user("alice"))])
    }),
    ("a user is inserted whose id a deleted user had, of whom a challenge is left", |s| {
        Case::conflicts([s.ask(1), delete(s)], [Change::InsertUser(s.user("alice"))])
    }),
    ("a user is active and of the epoch", |s| Case::applies([], [is(s, "alice", 0)])),
    ("a user is of the raised epoch", |s| {
        Case::applies([Change::RaiseEpoch { id: s.user_id("alice"), epoch: 0 }], [is(s, "alice", 1)])
    }),
    ("a disabled user is active", |s| Case::conflicts([disabled(s)], [is(s, "alice", 0)])),
    ("a user who is not there is active", |s| Case::conflicts([], [is(s, "nobody", 0)])),
    ("a user is of an epoch that has passed", |s| {
        Case::conflicts([Change::RaiseEpoch { id: s.user_id("alice"), epoch: 0 }], [is(s, "alice", 0)])
    }),
    ("a password is set", |s| Case::applies([s.begin(1)], [s.set_password(1)])),
    ("a password is set anew, and the guesses forgotten", |s| {
        Case::applies([s.set_password(1), guessed(s, Lockout::default(), LOCKED)], [s.set_password(2)])
    }),
    ("the password of somebody who is not there is set", |s| {
        Case::conflicts([], [Change::SetPassword { user: s.user_id("nobody"), hash: s.hash(1) }])
    }),
    ("a password's hash is replaced, and the guesses stay", |s| {
        let before = [s.set_password(1), guessed(s, Lockout::default(), LOCKED)];
        Case::applies(before, [s.replace_hash(1, 2)])
    }),
    ("a password's hash is replaced, though another password was set since", |s| {
        Case::conflicts([s.set_password(1), s.set_password(2)], [s.replace_hash(1, 3)])
    }),
    ("the hash of a password of somebody who has none is replaced", |s| {
        Case::conflicts([], [s.replace_hash(1, 2)])
    }),
    ("guesses at a password are counted", |s| {
        Case::applies([s.set_password(1)], [guessed(s, Lockout::default(), ONE), guessed(s, ONE, LOCKED)])
    }),
    ("guesses at a password are counted, though others were counted since", |s| {
        let before = [s.set_password(1), guessed(s, Lockout::default(), ONE)];
        Case::conflicts(before, [guessed(s, Lockout::default(), ONE)])
    }),
    ("guesses at the password of somebody who has none are counted", |s| {
        Case::conflicts([], [guessed(s, Lockout::default(), ONE)])
    }),
    ("a sign-in is remembered", |s| Case::applies([s.issue(1)], [s.learn(1, NOW)])),
    ("sign-ins are remembered, the latest device first", |s| {
        Case::applies(
            [s.learn(1, NOW), s.learn(2, NOW.plus(30))],
            [s.learn(1, NOW.plus(4_000)), s.learn(3, NOW.plus(4_000))],
        )
    }),
    ("a sign-in by a clock that is a little behind makes nothing older", |s| {
        Case::applies([s.learn(1, NOW.plus(LEEWAY))], [s.learn(1, NOW)])
    }),
    ("a device that was remembered by a clock that was ahead is forgotten", |s| {
        Case::applies([s.learn(1, NOW.plus(LEEWAY).plus(1)), s.learn(2, NOW)], [s.learn(3, NOW)])
    }),
    ("of too many devices the one not seen for longest is forgotten", |s| {
        let most = u64::try_from(MAX_PLACES).unwrap_or_default();
        Case::applies([], (0..most.saturating_add(3)).map(|number| s.learn(number, NOW.plus(number / 2))))
    }),
    ("a sign-in of somebody who is not there is remembered", |s| {
        Case::conflicts([], [Change::RecordSignIn { user: s.user_id("nobody"), place: s.place(1), at: NOW }])
    }),
    ("guesses from the latest places are counted there", |s| {
        let signed_in = (0..PLACES).map(|number| s.learn(number, NOW.plus(number)));
        let guesses = [
            s.guess_at(0, LockoutOf::Password, Lockout::NONE, ONE),
            s.guess_at(0, LockoutOf::Password, ONE, LOCKED),
            s.guess_at(0, LockoutOf::Factors, Lockout::NONE, ONE),
            s.guess_at(2, LockoutOf::Factors, Lockout::NONE, LOCKED),
            s.guess_at(2, LockoutOf::Factors, LOCKED, Lockout::NONE),
        ];
        Case::applies(signed_in, guesses)
    }),
    ("guesses from a place are counted, though others were counted since", |s| {
        let guess = || s.guess_at(1, LockoutOf::Password, Lockout::NONE, ONE);
        Case::conflicts([s.learn(1, NOW), guess()], [guess()])
    }),
    ("codes from a place are counted as if they were passwords", |s| {
        let before = [s.learn(1, NOW), s.guess_at(1, LockoutOf::Password, Lockout::NONE, ONE)];
        Case::conflicts(before, [s.guess_at(1, LockoutOf::Factors, ONE, LOCKED)])
    }),
    ("guesses from a place that is not known are counted there", |s| {
        Case::conflicts([s.learn(1, NOW)], [s.guess_at(2, LockoutOf::Password, Lockout::NONE, ONE)])
    }),
    ("guesses from a known place that is not one of the latest are counted there", |s| {
        let signed_in = (0..=PLACES).map(|number| s.learn(number, NOW.plus(number)));
        Case::conflicts(signed_in, [s.guess_at(0, LockoutOf::Password, Lockout::NONE, ONE)])
    }),
    ("a place that is not one of the latest any more forgets its guesses", |s| {
        let guess = |number| s.guess_at(number, LockoutOf::Factors, Lockout::NONE, LOCKED);
        let signed_in = (0..PLACES).flat_map(|number| [s.learn(number, NOW.plus(number)), guess(number)]);
        let again = [s.learn(PLACES, NOW.plus(60)), s.learn(0, NOW.plus(90))];
        Case::applies(signed_in, again)
    }),
    ("guesses at somebody who is not there are counted for a place", |s| {
        let guess = s.guess_at(1, LockoutOf::Password, Lockout::NONE, ONE);
        Case::conflicts([s.learn(1, NOW)], [delete(s), guess])
    }),
    ("a failure is remembered", |s| {
        Case::applies([s.issue(1), s.learn(1, NOW)], [s.fail(NOW), s.fail(NOW.plus(7))])
    }),
    ("of too many failures the earliest are forgotten", |s| {
        let most = u64::try_from(MAX_FAILURES).unwrap_or_default();
        Case::applies([], (0..most.saturating_add(3)).map(|number| s.fail(NOW.plus(number))))
    }),
    ("a failure of somebody who is not there is remembered", |s| {
        Case::conflicts([], [Change::CountFailure { user: s.user_id("nobody"), at: NOW }])
    }),
    ("somebody is found by user name, address and number", |s| {
        Case::reads([Change::UpdateUser(s.alice_in_full()), s.set_password(1), s.learn(1, NOW)])
    }),
];
