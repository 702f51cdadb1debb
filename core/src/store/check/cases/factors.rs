//! Second factors: devices, their codes, backup codes, and guesses.

use crate::records::factor::{Lockout, MAX_DEVICES};
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::{NOW, Sample};

fn keep(s: &Sample, device: u64) -> Change {
    Change::KeepBackupCodes { user: s.user_id("alice"), device: s.device_id(device) }
}

fn guessed(s: &Sample, user: &str, before: Lockout, after: Lockout) -> Change {
    Change::SetLockout { user: s.user_id(user), before, after }
}

const NONE: Lockout = Lockout { wrong: 0, locks: 0, locked_until: None };
const ONE: Lockout = Lockout { wrong: 1, locks: 0, locked_until: None };
const LOCKED: Lockout = Lockout { wrong: 10, locks: 2, locked_until: Some(NOW) };

/// Nearly as many devices as there may be: the next one is the last.
fn many(s: &Sample) -> impl Iterator<Item = Change> {
    let s = *s;
    let most = u64::try_from(MAX_DEVICES).unwrap_or_default();
    (1..most).map(move |number| s.enrol(number))
}

pub(super) const CASES: &[Entry] = &[
    ("a device is inserted", |s| Case::applies([], [s.enrol(1)])),
    ("the last device that there is room for is inserted", |s| Case::applies(many(s), [s.enrol(20)])),
    ("one device too many is inserted", |s| Case::conflicts(many(s).chain([s.enrol(20)]), [s.enrol(21)])),
    ("a device is inserted whose id is taken", |s| {
        Case::conflicts([s.enrol(1)], [Change::InsertDevice(s.device(1, "bob"))])
    }),
    ("a device of somebody who is not there is inserted", |s| {
        Case::conflicts([], [Change::InsertDevice(s.device(1, "nobody"))])
    }),
    ("a waiting device is verified", |s| Case::applies([s.enrol(1), s.enrol(2)], [s.verify(1, 7)])),
    ("a waiting device is verified by a command", |s| {
        let verify = Change::VerifyDevice { id: s.device_id(1), session: None, step: 7, at: NOW };
        Case::applies([s.enrol(1)], [verify])
    }),
    ("a verified device is verified again", |s| {
        Case::conflicts([s.enrol(1), s.verify(1, 7)], [s.verify(1, 8)])
    }),
    ("a device that is not there is verified", |s| Case::conflicts([], [s.verify(1, 7)])),
    ("a code of a later step is accepted", |s| {
        Case::applies([s.enrol(1), s.enrol(2), s.verify(1, 7)], [s.use_step(1, 7, 8)])
    }),
    ("a code of an earlier step is accepted", |s| {
        Case::applies([s.enrol(1), s.verify(1, 7)], [s.use_step(1, 7, 3)])
    }),
    ("a code is accepted, though another was accepted since", |s| {
        Case::conflicts([s.enrol(1), s.verify(1, 7), s.use_step(1, 7, 8)], [s.use_step(1, 7, 9)])
    }),
    ("a code of a waiting device is accepted", |s| Case::conflicts([s.enrol(1)], [s.use_step(1, 0, 1)])),
    ("a code of a device that is not there is accepted", |s| Case::conflicts([], [s.use_step(1, 0, 1)])),
    ("a waiting device is deleted with its backup codes", |s| {
        let before = [s.enrol(1), s.enrol(2), s.add_codes(1, 1..=2), s.add_codes(2, 3..=4)];
        Case::applies(before, [s.remove(1, false)])
    }),
    ("a verified device is deleted, and the backup codes stay", |s| {
        Case::applies([s.enrol(1), s.add_codes(1, 1..=2), s.verify(1, 7)], [s.remove(1, true)])
    }),
    ("a device that is not there is deleted", |s| Case::conflicts([], [s.remove(1, false)])),
    ("a device is deleted as a waiting one, though it was verified since", |s| {
        Case::conflicts([s.enrol(1), s.verify(1, 7)], [s.remove(1, false)])
    }),
    ("a device is deleted as a verified one, though it never was", |s| {
        Case::conflicts([s.enrol(1)], [s.remove(1, true)])
    }),
    ("backup codes are added", |s| Case::applies([s.enrol(1)], [s.add_codes(1, 1..=3)])),
    ("backup codes are added of a second waiting device", |s| {
        Case::applies([s.enrol(1), s.enrol(2), s.add_codes(1, 1..=3)], [s.add_codes(2, 4..=5)])
    }),
    ("backup codes are added, though a device counts", |s| {
        Case::conflicts([s.enrol(1), s.enrol(2), s.verify(1, 7)], [s.add_codes(2, 1..=3)])
    }),
    ("a backup code is added that the user has", |s| {
        Case::conflicts([s.enrol(1), s.enrol(2), s.add_codes(1, 1..=3)], [s.add_codes(2, 3..=4)])
    }),
    ("backup codes of somebody who is not there are added", |s| {
        let (user, device) = (s.user_id("nobody"), s.device_id(1));
        Case::conflicts([], [Change::AddBackupCodes { user, device, codes: [s.code(1)].into() }])
    }),
    ("the backup codes of one device are kept", |s| {
        let of_bob = Change::AddBackupCodes {
            user: s.user_id("bob"),
            device: s.device_id(3),
            codes: [s.code(1), s.code(9)].into(),
        };
        let before = [s.enrol(1), s.enrol(2), s.add_codes(1, 1..=2), s.add_codes(2, 3..=4)];
        let of_bob = [Change::InsertDevice(s.device(3, "bob")), of_bob];
        Case::applies(before.into_iter().chain(of_bob), [keep(s, 2)])
    }),
    ("the backup codes of one device are kept, though a device counts", |s| {
        let before = [s.enrol(1), s.enrol(2), s.add_codes(1, 1..=2), s.verify(2, 7)];
        Case::conflicts(before, [keep(s, 2)])
    }),
    ("all backup codes are dropped", |s| {
        let before = [s.enrol(1), s.add_codes(1, 1..=3), s.verify(1, 7)];
        Case::applies(before, [Change::DropBackupCodes(s.user_id("alice"))])
    }),
    ("backup codes are dropped where there are none", |s| {
        Case::applies([s.enrol(1)], [Change::DropBackupCodes(s.user_id("alice"))])
    }),
    ("a backup code is used", |s| {
        Case::applies([s.enrol(1), s.add_codes(1, 1..=3), s.verify(1, 7)], [s.use_code("alice", 2)])
    }),
    ("a used backup code is used again", |s| {
        let before = [s.enrol(1), s.add_codes(1, 1..=3), s.verify(1, 7), s.use_code("alice", 2)];
        Case::conflicts(before, [s.use_code("alice", 2)])
    }),
    ("somebody else's backup code is used", |s| {
        Case::conflicts([s.enrol(1), s.add_codes(1, 1..=3)], [s.use_code("bob", 2)])
    }),
    ("guesses are counted", |s| Case::applies([], [guessed(s, "alice", NONE, ONE)])),
    ("factors are locked, and the guesses forgotten", |s| {
        Case::applies([guessed(s, "alice", NONE, LOCKED)], [guessed(s, "alice", LOCKED, NONE)])
    }),
    ("factors are locked", |s| {
        Case::applies([guessed(s, "alice", NONE, ONE)], [guessed(s, "alice", ONE, LOCKED)])
    }),
    ("guesses are counted, though others were counted since", |s| {
        Case::conflicts([guessed(s, "alice", NONE, ONE)], [guessed(s, "alice", NONE, ONE)])
    }),
    ("guesses are counted as after others, though there were none", |s| {
        Case::conflicts([], [guessed(s, "alice", ONE, LOCKED)])
    }),
    ("guesses of somebody who is not there are counted", |s| {
        Case::conflicts([], [guessed(s, "nobody", NONE, ONE)])
    }),
    ("factors are read, the newest device first", |s| {
        let before = [s.enrol(2), s.enrol(1), s.enrol(3), s.add_codes(1, 1..=3), s.verify(3, 9)];
        let rest = [
            Change::InsertDevice(s.device(4, "bob")),
            s.issue(1),
            s.ask(1),
            s.begin(1),
            guessed(s, "alice", NONE, LOCKED),
        ];
        Case::reads(before.into_iter().chain(rest))
    }),
];
