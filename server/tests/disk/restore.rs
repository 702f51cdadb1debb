//! Restoring a backup over the database: afterwards there is the old state, which may be restored again, or the new one,
//! in which everything issued before is refused.

use gatepass::store::prelude::*;
use std::fmt::Debug;

use gatepass::store::{Access, Notice, StoreError, restore};
use gatepass_core::store::change::Outcome;

use crate::commits::{Commit, apply, close, go_on, is_spent, ticket_is_there};
use crate::coverage::{Coverage, Operation};
use crate::disk_fixture::{DATA, DiskFixture, whole};
use crate::image::Image;

/// The files that exist when a backup is restored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Existing {
    /// A database that was closed cleanly.
    Closed,
    /// A database and its log, of a killed server.
    WithLog,
    /// A database that is damaged.
    Damaged,
    /// The master key alone.
    KeyAlone,
}

struct Restore {
    there: Existing,
    before: Image,
}

/// Returns files before a restore. Tickets 0 and 1 were issued before the backup; after it 0 was redeemed, and 2 issued.
fn before(there: Existing) -> Image {
    let fixture = DiskFixture::new();
    let store = fixture.open(Access::Write).unwrap();
    apply(&store, &[Commit::Issue(0), Commit::Issue(1)]);
    store.backup(&fixture.backup("one"), None, &mut |_, _| ()).unwrap();
    apply(&store, &[Commit::Redeem(0), Commit::Issue(2)]);
    if there != Existing::WithLog {
        store.close().unwrap();
    }
    let mut image = fixture.disk.image();
    let (database, witness) = (format!("{DATA}/gatepass.db"), format!("{DATA}/gatepass.witness"));
    match there {
        Existing::Closed | Existing::WithLog => {}
        Existing::Damaged => {
            let inode = image.find(&database).unwrap();
            let pages = image.content(inode).len() / 4096;
            for page in (3..pages).step_by(2) {
                image.write(inode, page * 4096, &[0xaa; 4096]);
            }
        }
        Existing::KeyAlone => {
            image.take(&database);
            image.take(&witness);
        }
    }
    image
}

fn run(fixture: &DiskFixture, replace_it: bool) -> Result<(), StoreError> {
    let restored = restore(&fixture.installation(), &fixture.backup("one"), replace_it, &mut |_, _| ())?;
    assert!(restored.taken);
    Ok(())
}

/// The state that opens.
#[derive(Debug, PartialEq)]
enum Opened {
    Old,
    New,
    Refused(StoreError),
}

/// Opens as a server does, and checks that the store is in one of the two states.
fn open_and_hold(fixture: &DiskFixture, case: &dyn Debug) -> Opened {
    let store = match fixture.open(Access::Serve) {
        Ok(store) => store,
        Err(error) => return Opened::Refused(error),
    };
    let is_told =
        |notice: &Notice| matches!(notice, Notice::StateRestored { .. } | Notice::StateSuperseded { .. });
    assert!(store.notices().iter().all(is_told), "{case:?}: {:?}", store.notices());
    let report = store.check().unwrap();
    assert!(report.is_sound() && report.keys == 2, "{case:?}: {report:?}");
    assert!(ticket_is_there(&store, 0) && ticket_is_there(&store, 1), "{case:?}");
    let is_old = ticket_is_there(&store, 2);
    assert_eq!(is_spent(&store, 0), is_old, "{case:?}: a mixture");
    if is_old {
        assert_eq!(store.notices(), [], "{case:?}: a false alarm");
    } else {
        // Everything that was issued before is refused, also what was redeemed after the backup.
        for number in [0, 1] {
            assert_eq!(Commit::Redeem(number).on(&store), Outcome::Conflict, "{case:?}: ticket {number}");
        }
    }
    go_on(&store, case);
    close(fixture, &store, case);
    if is_old { Opened::Old } else { Opened::New }
}

impl Operation for Restore {
    type Prepared = ();
    const OPENS_ANEW: bool = true;

    fn before(&self) -> Image {
        self.before.clone()
    }

    fn prepare(&self, _: &DiskFixture) {}

    fn run(&self, fixture: &DiskFixture, (): &mut ()) -> bool {
        run(fixture, self.there != Existing::KeyAlone).is_ok()
    }

    fn hold(&self, fixture: &DiskFixture, told: Option<bool>, case: &dyn Debug) {
        whole(&fixture.backup("one"), case);
        let names = fixture.disk.names(DATA);
        let opened = open_and_hold(fixture, case);
        match (&opened, self.there) {
            (Opened::New, Existing::Closed | Existing::WithLog) => self.hold_old(fixture, &names, case),
            (Opened::New, Existing::Damaged | Existing::KeyAlone) => {}
            (Opened::Old, Existing::Closed | Existing::WithLog) => {}
            (Opened::Refused(error), Existing::Damaged) => {
                let is_damaged = matches!(error, StoreError::Sqlite { .. } | StoreError::Row { .. });
                assert!(is_damaged, "{case:?}: {error:?}");
            }
            (Opened::Refused(StoreError::DatabaseMissing { .. }), Existing::KeyAlone) => {}
            (other, _) => panic!("{case:?}: {other:?}; {names:?}"),
        }
        if opened != Opened::New {
            assert_ne!(told, Some(true), "{case:?}: {opened:?}");
            run(fixture, self.there != Existing::KeyAlone)
                .unwrap_or_else(|error| panic!("{case:?}: again: {error}"));
            assert_eq!(open_and_hold(fixture, case), Opened::New, "{case:?}: again");
        }
    }
}

impl Restore {
    /// Checks that the replaced database lies beside the new one, in the old state.
    fn hold_old(&self, fixture: &DiskFixture, names: &[String], case: &dyn Debug) {
        let image = fixture.disk.image();
        let mut old = self.before.clone();
        let aside =
            names.iter().rfind(|name| name.starts_with("gatepass.db.replaced") && !name.ends_with("-wal"));
        let aside = aside.unwrap_or_else(|| panic!("{case:?}: the old database is gone; {names:?}"));
        for suffix in ["", "-wal"] {
            old.take(&format!("{DATA}/gatepass.db{suffix}"));
            if let Some(bytes) = image.file(&format!("{DATA}/{aside}{suffix}")) {
                old.put(&format!("{DATA}/gatepass.db{suffix}"), bytes);
            }
        }
        assert_eq!(open_and_hold(&DiskFixture::on(old), &("replaced", case)), Opened::Old, "{case:?}");
    }
}

#[test]
fn a_restore_leaves_the_old_state_or_the_new_one() {
    let mut coverage = Coverage::new("restore");
    for there in [Existing::Closed, Existing::WithLog, Existing::Damaged, Existing::KeyAlone] {
        coverage.exercise(&Restore { there, before: before(there) }, 4);
    }
    coverage.finish();
}

#[test]
fn a_restore_replaces_nothing_unless_it_is_told_to() {
    for there in [Existing::Closed, Existing::WithLog, Existing::Damaged] {
        let fixture = DiskFixture::on(before(there));
        let error = run(&fixture, false).unwrap_err();
        assert!(matches!(error, StoreError::FileExists(_)), "{error:?}");
        assert_eq!(fixture.disk.done(), 0, "{there:?}: something was touched");
    }
}
