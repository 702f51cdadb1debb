//! Making a new state generation, at a start and at the end. Nothing was put back, so nobody may be told so.

use std::fmt::Debug;
use std::ops::Range;

use gatepass::store::{Access, Store};

use crate::commits::{Commit, applied, apply, serve_and_hold};
use crate::coverage::{Coverage, Operation};
use crate::disk::Disk;
use crate::image::Image;
use crate::site::{DATA, Site, world};

const BEFORE: &[Commit] = &[Commit::Issue(0), Commit::Redeem(0), Commit::Issue(1)];

/// A store that committed is closed.
struct AtTheEnd;

impl Operation for AtTheEnd {
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
        store.close().is_ok()
    }

    /// Up to the copy of the log, which is another kind.
    fn span(&self, disk: &Disk, run: Range<usize>) -> Range<usize> {
        let copied = disk.first_write(run.start, &format!("{DATA}/gatepass.db")).unwrap();
        run.start..copied - 1
    }

    fn hold(&self, site: &Site, _: Option<bool>, case: &dyn Debug) {
        serve_and_hold(site, &applied(BEFORE), case);
    }
}

/// A server starts. The one before stopped as it should, or was killed.
struct AtAStart {
    killed: bool,
}

impl Operation for AtAStart {
    type Prepared = Option<Store>;
    const OPENS_ANEW: bool = true;

    fn before(&self) -> Image {
        let site = Site::new();
        let store = site.open(Access::Write).unwrap();
        apply(&store, BEFORE);
        if !self.killed {
            store.close().unwrap();
        }
        site.disk.image()
    }

    fn prepare(&self, _: &Site) -> Option<Store> {
        None
    }

    fn run(&self, site: &Site, store: &mut Option<Store>) -> bool {
        *store = site.open(Access::Serve).ok();
        store.is_some()
    }

    fn go_on(&self, site: &Site, store: &mut Option<Store>, case: &dyn Debug) {
        let store = store.get_or_insert_with(|| site.serve(case));
        assert_eq!(store.notices(), [], "{case:?}");
        apply(store, &[Commit::Issue(7)]);
    }

    fn hold(&self, site: &Site, _: Option<bool>, case: &dyn Debug) {
        serve_and_hold(site, &applied(BEFORE), case);
    }
}

#[test]
fn a_new_generation_raises_no_false_alarm() {
    let mut coverage = Coverage::new("generation change");
    coverage.exercise(&AtTheEnd, 3);
    coverage.exercise(&AtAStart { killed: false }, 3);
    coverage.exercise(&AtAStart { killed: true }, 3);
    coverage.finish();
}
