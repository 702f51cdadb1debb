//! Challenges: so many wrong codes, one answer, and its repetitions.

use crate::records::challenge::{Challenge, MAX_WRONG, SignIn};
use crate::records::id::UserId;
use crate::records::ticket::Impersonation;
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::{NOW, Sample};

/// A challenge of boss, who acts as alice.
fn full(s: &Sample) -> Challenge {
    let actor: UserId = s.user_id("boss");
    let sign_in = SignIn {
        impersonation: Some(Impersonation { actor, reason: "因为".into() }),
        for_audience: true,
        bind: true,
        issuer: Some(s.client("backend").reference()),
        client_epoch: None,
        ..s.challenge(1).sign_in
    };
    let by_password = SignIn { ticket: None, ..sign_in };
    Challenge {
        sign_in: by_password,
        user_epoch: 2,
        actor_epoch: Some(3),
        state_epoch: s.state_epoch.saturating_add(7),
        issued_at: NOW.plus(9),
        ..s.challenge(1)
    }
}

fn is_open(s: &Sample) -> Change {
    Change::RequireOpenChallenge(s.challenge_digest(1))
}

pub(super) const CASES: &[Entry] = &[
    ("a challenge is inserted", |s| Case::applies([], [s.ask(1)])),
    ("a challenge that names everyone is inserted", |s| {
        Case::applies([s.enrol(1)], [Change::InsertChallenge(full(s))])
    }),
    ("a challenge is inserted whose digest is taken", |s| {
        let again = Challenge { digest: s.challenge_digest(1), ..s.challenge(2) };
        Case::conflicts([s.ask(1)], [Change::InsertChallenge(again)])
    }),
    ("a challenge of somebody who is not there is inserted", |s| {
        let mut challenge = s.challenge(1);
        challenge.sign_in.user_id = s.user_id("nobody");
        Case::conflicts([], [Change::InsertChallenge(challenge)])
    }),
    ("a wrong code is counted", |s| Case::applies([s.ask(1), s.ask(2)], [s.count_wrong(1, 0, false)])),
    ("a wrong code is counted of an answered challenge", |s| {
        Case::applies([s.ask(1), s.answer(1, 0)], [s.count_wrong(1, 0, true)])
    }),
    ("a wrong code is counted, though another was counted since", |s| {
        Case::conflicts([s.ask(1), s.count_wrong(1, 0, false)], [s.count_wrong(1, 0, false)])
    }),
    ("a wrong code is counted as of an open challenge, though it was answered since", |s| {
        Case::conflicts([s.ask(1), s.answer(1, 0)], [s.count_wrong(1, 0, false)])
    }),
    ("a wrong code is counted as of an answered challenge, though it was not answered", |s| {
        Case::conflicts([s.ask(1)], [s.count_wrong(1, 0, true)])
    }),
    ("a wrong code is counted of a challenge that is not there", |s| {
        Case::conflicts([], [s.count_wrong(1, 0, false)])
    }),
    ("a challenge is answered", |s| {
        Case::applies([s.ask(1), s.ask(2), s.count_wrong(1, 0, false)], [s.answer(1, 1)])
    }),
    ("a challenge is answered with a key, for a session", |s| {
        Case::applies([s.ask(1), s.begin(1)], [s.answer_for(1, 0, 1)])
    }),
    ("a challenge is answered with a key, for a session that is not there", |s| {
        Case::applies([s.ask(1)], [s.answer_for(1, 0, 1)])
    }),
    ("an answered challenge is answered again", |s| {
        Case::conflicts([s.ask(1), s.answer(1, 0)], [s.answer(1, 0)])
    }),
    ("a challenge is answered, though a wrong code was counted since", |s| {
        Case::conflicts([s.ask(1), s.count_wrong(1, 0, false)], [s.answer(1, 0)])
    }),
    ("a challenge that is not there is answered", |s| Case::conflicts([], [s.answer(1, 0)])),
    ("the answer to a challenge is repeated first", |s| {
        Case::applies([s.ask(1), s.answer_for(1, 0, 1)], [s.repeat_answer(1, 0, true)])
    }),
    ("the answer to a challenge is repeated once more", |s| {
        let before = [s.ask(1), s.answer_for(1, 0, 1), s.repeat_answer(1, 0, true)];
        Case::applies(before, [s.repeat_answer(1, 0, false), s.repeat_answer(1, 0, false)])
    }),
    ("the answer to a challenge is repeated as the first time, though it was repeated before", |s| {
        let before = [s.ask(1), s.answer_for(1, 0, 1), s.repeat_answer(1, 0, true)];
        Case::conflicts(before, [s.repeat_answer(1, 0, true)])
    }),
    ("the answer to a challenge is repeated as once more, though it never was", |s| {
        Case::conflicts([s.ask(1), s.answer_for(1, 0, 1)], [s.repeat_answer(1, 0, false)])
    }),
    ("the answer to a challenge is repeated, though a wrong code was counted since", |s| {
        let before = [s.ask(1), s.answer_for(1, 0, 1), s.count_wrong(1, 0, true)];
        Case::conflicts(before, [s.repeat_answer(1, 0, true)])
    }),
    ("the answer to a challenge that was answered without a key is repeated", |s| {
        Case::conflicts([s.ask(1), s.answer(1, 0)], [s.repeat_answer(1, 0, true)])
    }),
    ("the answer to an open challenge is repeated", |s| {
        Case::conflicts([s.ask(1)], [s.repeat_answer(1, 0, true)])
    }),
    ("the answer to a challenge that is not there is repeated", |s| {
        Case::conflicts([], [s.repeat_answer(1, 0, true)])
    }),
    ("a challenge bears one more wrong code", |s| {
        let wrong = MAX_WRONG.saturating_sub(1);
        Case::applies([Change::InsertChallenge(Challenge { wrong, ..s.challenge(1) })], [is_open(s)])
    }),
    ("a challenge is open after too many wrong codes", |s| {
        let wrong = MAX_WRONG;
        Case::conflicts([Change::InsertChallenge(Challenge { wrong, ..s.challenge(1) })], [is_open(s)])
    }),
    ("an answered challenge is open", |s| Case::conflicts([s.ask(1), s.answer(1, 0)], [is_open(s)])),
    ("a challenge that is not there is open", |s| Case::conflicts([], [is_open(s)])),
    ("a challenge is read with everyone it names", |s| {
        let mut enrolled = s.device(2, "boss");
        enrolled.vouched_for = true;
        let before = [Change::InsertChallenge(full(s)), s.enrol(1), Change::InsertDevice(enrolled)];
        Case::reads(before.into_iter().chain([
            s.add_codes(1, 1..=3),
            s.ask(2),
            s.begin(1),
            s.answer_for(2, 0, 1),
            s.end(1),
        ]))
    }),
];
