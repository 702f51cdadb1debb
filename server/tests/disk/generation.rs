//! Making a new state generation, at a start and at the end. No files were put back, so no notice may appear.

use gatepass::store::prelude::*;
use std::fmt::Debug;
use std::ops::Range;

use gatepass::store::Store;

use crate::commits::{BEFORE, applied, committed, go_on_after_start, serve_and_hold, starts};
use crate::coverage::{Coverage, Operation};
use crate::disk::Disk;
use crate::disk_fixture::{DATA, DiskFixture};
use crate::image::Image;

/// Closes a store that committed.
struct GenerationAtStop;

impl Operation for GenerationAtStop {
    type Prepared = Store;

    fn prepare(&self, fixture: &DiskFixture) -> Store {
        committed(fixture)
    }

    fn run(&self, _: &DiskFixture, store: &mut Store) -> bool {
        store.close().is_ok()
    }

    /// Returns the run up to the copy of the log, which is another kind.
    fn span(&self, disk: &Disk, run: Range<usize>) -> Range<usize> {
        let copied = disk.first_write(run.start, &format!("{DATA}/gatepass.db")).unwrap();
        run.start..copied - 1
    }

    fn hold(&self, fixture: &DiskFixture, _: Option<bool>, case: &dyn Debug) {
        serve_and_hold(fixture, &applied(BEFORE), case);
    }
}

/// Starts a server. The one before stopped cleanly, or was killed.
struct GenerationAtStart {
    killed: bool,
}

impl Operation for GenerationAtStart {
    type Prepared = Option<Store>;
    const OPENS_ANEW: bool = true;

    fn before(&self) -> Image {
        let fixture = DiskFixture::new();
        let store = committed(&fixture);
        if !self.killed {
            store.close().unwrap();
        }
        fixture.disk.image()
    }

    fn prepare(&self, _: &DiskFixture) -> Option<Store> {
        None
    }

    fn run(&self, fixture: &DiskFixture, store: &mut Option<Store>) -> bool {
        starts(fixture, store)
    }

    fn go_on(&self, fixture: &DiskFixture, store: &mut Option<Store>, case: &dyn Debug) {
        go_on_after_start(fixture, store, case);
    }

    fn hold(&self, fixture: &DiskFixture, _: Option<bool>, case: &dyn Debug) {
        serve_and_hold(fixture, &applied(BEFORE), case);
    }
}

#[test]
fn a_new_generation_raises_no_false_alarm() {
    let mut coverage = Coverage::new("generation change");
    coverage.exercise(&GenerationAtStop, 3);
    coverage.exercise(&GenerationAtStart { killed: false }, 3);
    coverage.exercise(&GenerationAtStart { killed: true }, 3);
    coverage.finish();
}
