//! Replacing the master key: whatever is on the disk opens with what is on the disk, and the old key is kept.

use std::fmt::Debug;
use std::sync::Arc;

use gatepass::store::{Access, Store};

use crate::commits::{Commit, applied, apply, close, hold, recover};
use crate::coverage::{Coverage, Operation};
use crate::disk::{Fault, Left, Trouble};
use crate::image::Image;
use crate::site::{DATA, Site, world};

const BEFORE: &[Commit] = &[Commit::Issue(0), Commit::Redeem(0), Commit::Issue(1)];

struct Rotation;

/// Returns the content of every file of the data directory whose name begins like the master key's, by its name.
fn keys(image: &Image) -> Vec<(String, Arc<Vec<u8>>)> {
    let names = image.names(DATA).into_iter().filter(|name| name.starts_with("master.key"));
    names.map(|name| (name.clone(), image.file(&format!("{DATA}/{name}")).unwrap())).collect()
}

impl Operation for Rotation {
    type Prepared = Store;

    fn before(&self) -> Image {
        world()
    }

    fn prepare(&self, site: &Site) -> Store {
        let store = site.open(Access::Write).unwrap();
        apply(&store, BEFORE);
        store
    }

    fn run(&self, _: &Site, store: &mut Store) -> bool {
        store.rotate_master_key(None).is_ok()
    }

    fn go_on(&self, _: &Site, store: &mut Store, case: &dyn Debug) {
        recover(store, [Commit::Issue(7), Commit::Issue(8)], case);
        assert_eq!(store.keys().unwrap().keys.len(), 2, "{case:?}");
        store.rotate_master_key(None).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert_eq!(store.keys().unwrap().keys.len(), 2, "{case:?}");
        apply(store, &[Commit::Issue(9)]);
    }

    fn hold(&self, site: &Site, told: Option<bool>, case: &dyn Debug) {
        let original = keys(&world()).remove(0).1;
        let found = keys(&site.disk.image());
        let is_kept = |keys: &[(String, Arc<Vec<u8>>)]| keys.iter().any(|(_, key)| *key == original);
        assert!(is_kept(&found), "{case:?}: the old key is gone");
        if told == Some(true) {
            assert_ne!(found[0].1, original, "{case:?}: the key was not replaced");
        }
        let store = site.serve(case);
        hold(&store, &applied(BEFORE), case);
        store.rotate_master_key(None).unwrap_or_else(|error| panic!("{case:?}: {error}"));
        close(site, &store, case);
        let store = site.serve(case);
        assert_eq!(store.keys().unwrap().keys.len(), 2, "{case:?}");
        let found = keys(&site.disk.image());
        assert!(is_kept(&found) && found[0].1 != original, "{case:?}: {found:?}");
    }
}

/// The commit fails in its sync, and yet its mark is on the disk: after a power cut it counts. The key that it was sealed with
/// must not be removed before.
#[test]
fn a_key_of_a_commit_that_may_count_is_kept() {
    let mut cuts = 0;
    for at in 0.. {
        let site = Site::new();
        let mut store = Rotation.prepare(&site);
        let fault = Fault { trouble: Trouble::Broken, from: site.disk.done() + at, lasting: false };
        site.disk.set(Some(fault));
        let is_done = Rotation.run(&site, &mut store);
        if site.disk.done() <= fault.from {
            break;
        }
        if is_done {
            continue;
        }
        let from = site.disk.done();
        store.rotate_master_key(None).unwrap_or_else(|error| panic!("{at}: {error}"));
        // From the next transaction on the other has no place any more.
        for cut in from..from + 12 {
            let after = Site::on(site.disk.after_cut(cut, Left::Everything));
            Rotation.hold(&after, None, &(at, cut - from));
            cuts += 1;
        }
    }
    println!("{cuts} power cuts in a rotation after one that failed");
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn a_master_key_is_never_lost() {
    let mut coverage = Coverage::new("master-key rotation");
    coverage.exercise(&Rotation, 1);
    coverage.finish();
}
