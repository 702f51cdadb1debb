//! Migrating a file of the last schema, after a copy of it was made.

use gatepass::store::prelude::*;
use std::fmt::Debug;

use gatepass::store::Store;

use crate::commits::{BEFORE, applied, committed, go_on_after_start, serve_and_hold, starts};
use crate::coverage::{Coverage, Operation};
use crate::disk_fixture::{DATA, DiskFixture, whole};
use crate::image::Image;

/// Starts a server on a file of schema 6.
struct Migration {
    /// True if the server before was killed and left a log.
    killed: bool,
}

impl Operation for Migration {
    type Prepared = Option<Store>;
    const OPENS_ANEW: bool = true;

    fn before(&self) -> Image {
        let fixture = DiskFixture::new();
        let store = committed(&fixture);
        store.close().unwrap();
        fixture.inner().downgrade(6, "");
        let sql = fixture.inner().sql();
        sql.execute_batch("PRAGMA synchronous = FULL; UPDATE meta SET commits = commits + 1").unwrap();
        let mut image = if self.killed { fixture.disk.image() } else { Image::default() };
        drop(sql);
        if !self.killed {
            image = fixture.disk.image();
        }
        image.take(&format!("{DATA}/gatepass.witness"));
        image
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

    fn hold(&self, fixture: &DiskFixture, told: Option<bool>, case: &dyn Debug) {
        let copies = |fixture: &DiskFixture| {
            let names = fixture.disk.names(DATA).into_iter();
            names.filter(|name| name.starts_with("gatepass.db.schema-6")).collect::<Vec<_>>()
        };
        let found = copies(fixture);
        assert!(told != Some(true) || !found.is_empty(), "{case:?}: there is no copy");
        serve_and_hold(fixture, &applied(BEFORE), case);
        // Existing copies stay. There is one of the first migration that was completed.
        let kept = copies(fixture);
        assert!(!kept.is_empty() && found.iter().all(|name| kept.contains(name)), "{case:?}: {kept:?}");
        for name in kept {
            let db = whole(&fixture.inner().dir().join(name), case);
            let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(number("PRAGMA user_version"), 6, "{case:?}");
            assert_eq!(number("SELECT count(*) FROM tickets"), 2, "{case:?}");
        }
    }
}

#[test]
fn a_migration_ends_or_is_done_again() {
    let mut coverage = Coverage::new("migration");
    coverage.exercise(&Migration { killed: false }, 2);
    coverage.exercise(&Migration { killed: true }, 2);
    coverage.finish();
}
