//! Signing keys. Every case goes on with the keys of those before it.

use crate::records::signing_key::KeyState::{Published, Signing};
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::Sample;

fn activate(s: &Sample, key: u64, changes: u64) -> Change {
    Change::ActivateKey { id: s.key_id(key), generation: s.generation.saturating_add(changes) }
}

fn retire(s: &Sample, key: u64, changes: u64) -> Change {
    Change::RetireKey { id: s.key_id(key), generation: s.generation.saturating_add(changes) }
}

/// A key that signs and one that waits.
fn two(s: &Sample) -> [Change; 2] {
    [s.insert_key(1, Signing, 0), s.insert_key(2, Published, 1)]
}

pub(super) const CASES: &[Entry] = &[
    ("a key is inserted that signs", |s| Case::applies([], [s.insert_key(1, Signing, 0)])),
    ("a key is inserted that waits", |s| Case::applies([], [s.insert_key(1, Published, 0)])),
    ("a second key is inserted that signs", |s| {
        Case::applies([s.insert_key(1, Signing, 0)], [s.insert_key(2, Signing, 1)])
    }),
    ("a key is inserted whose id is taken", |s| {
        Case::conflicts([s.insert_key(1, Signing, 0)], [s.insert_key(1, Published, 1)])
    }),
    ("a key is inserted, though another one was since", |s| {
        Case::conflicts([s.insert_key(1, Signing, 0)], [s.insert_key(2, Published, 0)])
    }),
    ("a key that waits is activated", |s| Case::applies(two(s), [activate(s, 2, 2)])),
    ("a key that is not there is activated", |s| Case::conflicts([], [activate(s, 9, 0)])),
    ("a key is activated, though another one was inserted since", |s| {
        Case::conflicts(two(s), [activate(s, 2, 1)])
    }),
    ("a key that waits is retired", |s| Case::applies(two(s), [retire(s, 2, 2)])),
    ("a key that only verifies is retired", |s| {
        Case::applies([s.insert_key(1, Signing, 0), s.insert_key(2, Signing, 1)], [retire(s, 1, 2)])
    }),
    ("the key that signs is retired", |s| Case::conflicts(two(s), [retire(s, 1, 2)])),
    ("a key that is not there is retired", |s| Case::conflicts([], [retire(s, 9, 0)])),
    ("a key is retired, though another one was inserted since", |s| {
        Case::conflicts(two(s), [retire(s, 2, 1)])
    }),
];
