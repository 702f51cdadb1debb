//! The first start in an empty directory: an interrupted one is done again.

use gatepass::store::prelude::*;
use std::fmt::Debug;

use gatepass::store::Store;
use gatepass_core::store::change::{Change, Outcome};

use crate::commits::{Commit, apply, close};
use crate::coverage::{Coverage, Operation};
use crate::disk_fixture::{DATA, DiskFixture};
use crate::fixture::{NOW, alice, commit, portal};
use crate::image::Image;

struct FirstStart;

impl Operation for FirstStart {
    type Prepared = Option<Store>;
    const OPENS_ANEW: bool = true;

    fn before(&self) -> Image {
        Image::default()
    }

    fn prepare(&self, _: &DiskFixture) -> Option<Store> {
        None
    }

    fn run(&self, fixture: &DiskFixture, store: &mut Option<Store>) -> bool {
        *store = fixture.open_or_create().ok();
        store.is_some()
    }

    fn go_on(&self, fixture: &DiskFixture, store: &mut Option<Store>, case: &dyn Debug) {
        let again = || fixture.open_or_create().unwrap_or_else(|error| panic!("{case:?}: {error}"));
        let store = store.get_or_insert_with(again);
        assert_eq!(store.notices(), [], "{case:?}");
        let revoked = Change::RevokeToken { token_id: "t".into(), expires_at: NOW };
        assert_eq!(commit(store, [revoked]), Outcome::Applied, "{case:?}");
    }

    fn hold(&self, fixture: &DiskFixture, told: Option<bool>, case: &dyn Debug) {
        let key = |fixture: &DiskFixture| fixture.disk.image().file(&format!("{DATA}/master.key"));
        let before = key(fixture);
        assert!(told != Some(true) || before.is_some(), "{case:?}: there is no key");
        let store = fixture.open_or_create().unwrap_or_else(|error| panic!("{case:?}: {error}"));
        assert_eq!(store.notices(), [], "{case:?}: a false alarm");
        assert!(before.is_none() || before == key(fixture), "{case:?}: the key was replaced");
        let (tables, user, client) = (gatepass_tests::fixtures::tables(), alice(), portal());
        let user = tables.users.into_values().find(|found| found.id == user).map(Change::InsertUser);
        let client = tables.clients.into_values().find(|found| found.id == client).map(Change::InsertClient);
        assert_eq!(commit(&store, user.into_iter().chain(client)), Outcome::Applied, "{case:?}");
        apply(&store, &[Commit::Issue(10), Commit::Redeem(10)]);
        assert!(store.check().unwrap().is_sound(), "{case:?}");
        close(fixture, &store, case);
        let names = fixture.disk.names(DATA);
        assert!(!names.iter().any(|name| name == "gatepass.starting"), "{case:?}: {names:?}");
        let store = fixture.serve(case);
        assert!(crate::commits::is_spent(&store, 10), "{case:?}");
    }
}

#[test]
fn a_first_start_ends_or_is_done_again() {
    let mut coverage = Coverage::new("first start");
    coverage.exercise(&FirstStart, 1);
    coverage.finish();
}
