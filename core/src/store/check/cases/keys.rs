//! Signing keys. Every case goes on with the keys of those before it.

use crate::crypto::algorithm::Algorithm::{self, Es384, Ps384, Ps512, Rs256, Rs384, Rs512};
use crate::records::client::Client;
use crate::records::signing_key::KeyState::{Published, Signing};
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::{NOW, Sample};

fn activate(s: &Sample, key: u64, changes: u64) -> Change {
    activate_for(s, key, changes, false)
}

fn activate_for(s: &Sample, key: u64, changes: u64, beside: bool) -> Change {
    let generation = s.generation.saturating_add(changes);
    Change::ActivateKey { id: s.key_id(key), generation, beside, retire_from: NOW.plus(2000 + key) }
}

fn stop(s: &Sample, key: u64, changes: u64) -> Change {
    let generation = s.generation.saturating_add(changes);
    Change::StopKey { id: s.key_id(key), generation, retire_from: NOW.plus(3000) }
}

fn retire(s: &Sample, key: u64, changes: u64) -> Change {
    Change::RetireKey { id: s.key_id(key), generation: s.generation.saturating_add(changes) }
}

/// A key that signs and one that waits.
fn two(s: &Sample) -> [Change; 2] {
    [s.insert_key(1, Signing, 0), s.insert_key(2, Published, 1)]
}

/// A default key, and another of `algorithm` that signs beside it.
fn beside(s: &Sample, algorithm: Algorithm) -> [Change; 2] {
    [s.insert_key(1, Signing, 0), s.insert_key_for(algorithm, 2, (Signing, true), 1)]
}

/// The portal chooses `algorithm`.
fn choose(s: &Sample, algorithm: Algorithm) -> Change {
    Change::UpdateClient(Client { signing_algorithm: Some(algorithm), ..s.client("portal") })
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
    ("a key is activated beside the default key", |s| {
        let waits = s.insert_key_for(Ps512, 2, (Published, true), 1);
        Case::applies([s.insert_key(1, Signing, 0), waits], [activate_for(s, 2, 2, true)])
    }),
    ("a key of the default key's algorithm is activated beside it, and takes its place", |s| {
        Case::applies(two(s), [activate_for(s, 2, 2, true)])
    }),
    ("a key is activated in place of another that signs beside the default key", |s| {
        let waits = s.insert_key_for(Ps512, 3, (Published, true), 2);
        Case::applies(beside(s, Ps512).into_iter().chain([waits]), [activate_for(s, 3, 3, true)])
    }),
    ("a key that signs beside the default key becomes it", |s| {
        Case::applies(beside(s, Ps512), [activate(s, 2, 2)])
    }),
    ("a key that signs beside the default key becomes it, whose algorithm a client chooses", |s| {
        Case::applies(beside(s, Ps512).into_iter().chain([choose(s, Es384)]), [activate(s, 2, 2)])
    }),
    ("the default key is to sign beside another, and there is none", |s| {
        Case::applies([s.insert_key(1, Signing, 0)], [activate_for(s, 1, 1, true)])
    }),
    ("a key is required of an algorithm that signs", |s| {
        Case::applies([s.insert_key_for(Rs512, 1, (Signing, true), 0)], [Change::RequireSigningKey(Rs512)])
    }),
    ("a key is required of an algorithm that waits", |s| {
        let waits = s.insert_key_for(Rs384, 1, (Published, false), 0);
        Case::conflicts([waits], [Change::RequireSigningKey(Rs384)])
    }),
    ("a key that signs for no client is stopped", |s| Case::applies(beside(s, Ps384), [stop(s, 2, 2)])),
    ("a key is stopped whose algorithm a client chooses", |s| {
        Case::conflicts(beside(s, Rs256).into_iter().chain([choose(s, Rs256)]), [stop(s, 2, 2)])
    }),
    ("the default key is stopped", |s| Case::conflicts(beside(s, Ps384), [stop(s, 1, 2)])),
    ("a key that waits is stopped", |s| {
        let waits = s.insert_key_for(Ps384, 2, (Published, true), 1);
        Case::conflicts([s.insert_key(1, Signing, 0), waits], [stop(s, 2, 2)])
    }),
    ("a key that is not there is stopped", |s| Case::conflicts([], [stop(s, 9, 0)])),
    ("a key is stopped, though another one was inserted since", |s| {
        Case::conflicts(beside(s, Ps384), [stop(s, 2, 1)])
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
