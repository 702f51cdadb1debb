//! Bringing a file of the last schema up to date, after a copy of it was made.

use std::fmt::Debug;

use gatepass::store::{Access, Store};

use crate::commits::{Commit, applied, apply, serve_and_hold};
use crate::coverage::{Coverage, Operation};
use crate::image::Image;
use crate::site::{DATA, Site, whole};

const BEFORE: &[Commit] = &[Commit::Issue(0), Commit::Redeem(0), Commit::Issue(1)];

/// A server starts on a file of schema 6.
struct Migration {
    /// The server before was killed, and left a log.
    killed: bool,
}

impl Operation for Migration {
    type Prepared = Option<Store>;
    const OPENS_ANEW: bool = true;

    fn before(&self) -> Image {
        let site = Site::new();
        let store = site.open(Access::Write).unwrap();
        apply(&store, BEFORE);
        store.close().unwrap();
        site.place().downgrade(6, "");
        let sql = site.place().sql();
        sql.execute_batch("PRAGMA synchronous = FULL; UPDATE meta SET commits = commits + 1").unwrap();
        let mut image = if self.killed { site.disk.image() } else { Image::default() };
        drop(sql);
        if !self.killed {
            image = site.disk.image();
        }
        image.take(&format!("{DATA}/gatepass.witness"));
        image
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

    fn hold(&self, site: &Site, told: Option<bool>, case: &dyn Debug) {
        let copies = |site: &Site| {
            let names = site.disk.names(DATA).into_iter();
            names.filter(|name| name.starts_with("gatepass.db.schema-6")).collect::<Vec<_>>()
        };
        let found = copies(site);
        assert!(told != Some(true) || !found.is_empty(), "{case:?}: there is no copy");
        serve_and_hold(site, &applied(BEFORE), case);
        // The copies that were there stay. There is one from the first migration that came to its end.
        let kept = copies(site);
        assert!(!kept.is_empty() && found.iter().all(|name| kept.contains(name)), "{case:?}: {kept:?}");
        for name in kept {
            let db = whole(&site.place().dir().join(name), case);
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
