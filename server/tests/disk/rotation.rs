//! Replacing the master key: the files on the disk always open with a key on the disk, and the old key is kept.

use gatepass::store::prelude::*;
use std::fmt::Debug;
use std::sync::Arc;

use gatepass::store::Store;

use crate::commits::{BEFORE, Commit, applied, apply, close, committed, hold, recover};
use crate::coverage::{Coverage, Operation};
use crate::disk::{DiskError, Fault, Remaining};
use crate::disk_fixture::{DATA, DiskFixture, world};
use crate::image::Image;

struct Rotation;

/// Returns each file of the data directory whose name begins like the master key's.
fn keys(image: &Image) -> Vec<(String, Arc<Vec<u8>>)> {
    let names = image.names(DATA).into_iter().filter(|name| name.starts_with("master.key"));
    names.map(|name| (name.clone(), image.file(&format!("{DATA}/{name}")).unwrap())).collect()
}

impl Operation for Rotation {
    type Prepared = Store;

    fn prepare(&self, fixture: &DiskFixture) -> Store {
        committed(fixture)
    }

    fn run(&self, _: &DiskFixture, store: &mut Store) -> bool {
        store.rotate_master_key(None).is_ok()
    }

    fn go_on(&self, _: &DiskFixture, store: &mut Store, case: &dyn Debug) {
        recover(store, [Commit::Issue(7), Commit::Issue(8)], case);
        assert_eq!(store.keys().unwrap().keys.len(), 2, "{case:?}");
        store.rotate_master_key(None).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert_eq!(store.keys().unwrap().keys.len(), 2, "{case:?}");
        apply(store, &[Commit::Issue(9)]);
    }

    fn hold(&self, fixture: &DiskFixture, told: Option<bool>, case: &dyn Debug) {
        let original = keys(&world()).remove(0).1;
        let found = keys(&fixture.disk.image());
        let is_kept = |keys: &[(String, Arc<Vec<u8>>)]| keys.iter().any(|(_, key)| *key == original);
        assert!(is_kept(&found), "{case:?}: the old key is gone");
        if told == Some(true) {
            assert_ne!(found[0].1, original, "{case:?}: the key was not replaced");
        }
        let store = fixture.serve(case);
        hold(&store, &applied(BEFORE), case);
        store.rotate_master_key(None).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        close(fixture, &store, case);
        let store = fixture.serve(case);
        assert_eq!(store.keys().unwrap().keys.len(), 2, "{case:?}");
        let found = keys(&fixture.disk.image());
        assert!(is_kept(&found) && found[0].1 != original, "{case:?}: {found:?}");
    }
}

/// A commit fails in its sync, and yet its mark is on the disk, so that it counts after a power loss. The key that it was
/// sealed with must not be removed before.
#[test]
fn a_key_of_a_commit_that_may_count_is_kept() {
    let mut power_losses = 0;
    for at in 0.. {
        let fixture = DiskFixture::new();
        let mut store = Rotation.prepare(&fixture);
        let fault = Fault { trouble: DiskError::Broken, from: fixture.disk.done() + at, lasting: false };
        fixture.disk.set(Some(fault));
        let is_done = Rotation.run(&fixture, &mut store);
        if fixture.disk.done() <= fault.from {
            break;
        }
        if is_done {
            continue;
        }
        let from = fixture.disk.done();
        store.rotate_master_key(None).unwrap_or_else(|error| panic!("{at}: {error}"));
        // From the next transaction on, the other has no place any more.
        for cut in from..from + 12 {
            let after = DiskFixture::on(fixture.disk.after_power_loss(cut, Remaining::Everything));
            Rotation.hold(&after, None, &(at, cut - from));
            power_losses += 1;
        }
    }
    println!("{power_losses} power cuts in a rotation after one that failed");
    assert!(power_losses > 100, "{power_losses}");
}

#[test]
fn a_master_key_is_never_lost() {
    let mut coverage = Coverage::new("master-key rotation");
    coverage.exercise(&Rotation, 1);
    coverage.finish();
}
