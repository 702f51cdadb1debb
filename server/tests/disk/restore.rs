//! Putting a backup in the place of the database: afterwards there is the old state, maybe to be restored again, or the new
//! one, in which everything issued before is refused.

use std::fmt::Debug;

use gatepass::store::{Access, Notice, StoreError, restore};
use gatepass_core::store::change::Outcome;

use crate::commits::{Commit, apply, close, go_on, is_spent, ticket_is_there};
use crate::coverage::{Coverage, Operation};
use crate::image::Image;
use crate::site::{DATA, Site, whole};

/// What is there when a backup is restored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum There {
    /// A database that was closed.
    Closed,
    /// A database and its log: the server was killed.
    WithLog,
    /// A database that is damaged.
    Damaged,
    /// The master key alone.
    KeyAlone,
}

struct Restore {
    there: There,
    before: Image,
}

/// Before the backup tickets 0 and 1 were issued. After it 0 was spent, and 2 issued.
fn before(there: There) -> Image {
    let site = Site::new();
    let store = site.open(Access::Write).unwrap();
    apply(&store, &[Commit::Issue(0), Commit::Issue(1)]);
    store.backup(&site.backup("one"), None, &mut |_, _| ()).unwrap();
    apply(&store, &[Commit::Redeem(0), Commit::Issue(2)]);
    if there != There::WithLog {
        store.close().unwrap();
    }
    let mut image = site.disk.image();
    let (database, witness) = (format!("{DATA}/gatepass.db"), format!("{DATA}/gatepass.witness"));
    match there {
        There::Closed | There::WithLog => {}
        There::Damaged => {
            let inode = image.find(&database).unwrap();
            let pages = image.content(inode).len() / 4096;
            for page in (3..pages).step_by(2) {
                image.write(inode, page * 4096, &[0xaa; 4096]);
            }
        }
        There::KeyAlone => {
            image.take(&database);
            image.take(&witness);
        }
    }
    image
}

fn run(site: &Site, replace_it: bool) -> Result<(), StoreError> {
    let restored = restore(&site.installation(), &site.backup("one"), replace_it, &mut |_, _| ())?;
    assert!(restored.taken);
    Ok(())
}

/// Which state a site opens with.
#[derive(Debug, PartialEq)]
enum Opened {
    Old,
    New,
    Refused(StoreError),
}

/// Opens as a server does, and holds the store to one of the two states.
fn open_and_hold(site: &Site, case: &dyn Debug) -> Opened {
    let store = match site.open(Access::Serve) {
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
        // What was spent after the backup is refused, and so is all else that was issued before.
        for number in [0, 1] {
            assert_eq!(Commit::Redeem(number).on(&store), Outcome::Conflict, "{case:?}: ticket {number}");
        }
    }
    go_on(&store, case);
    close(site, &store, case);
    if is_old { Opened::Old } else { Opened::New }
}

impl Operation for Restore {
    type Prepared = ();
    const OPENS_ANEW: bool = true;

    fn before(&self) -> Image {
        self.before.clone()
    }

    fn prepare(&self, _: &Site) {}

    fn run(&self, site: &Site, (): &mut ()) -> bool {
        run(site, self.there != There::KeyAlone).is_ok()
    }

    fn hold(&self, site: &Site, told: Option<bool>, case: &dyn Debug) {
        whole(&site.backup("one"), case);
        let names = site.disk.names(DATA);
        let opened = open_and_hold(site, case);
        match (&opened, self.there) {
            (Opened::New, There::Closed | There::WithLog) => self.hold_old(site, &names, case),
            (Opened::New, There::Damaged | There::KeyAlone) => {}
            (Opened::Old, There::Closed | There::WithLog) => {}
            (Opened::Refused(error), There::Damaged) => {
                let is_damaged = matches!(error, StoreError::Sqlite { .. } | StoreError::Row { .. });
                assert!(is_damaged, "{case:?}: {error:?}");
            }
            (Opened::Refused(StoreError::DatabaseMissing { .. }), There::KeyAlone) => {}
            (other, _) => panic!("{case:?}: {other:?}; {names:?}"),
        }
        if opened != Opened::New {
            assert_ne!(told, Some(true), "{case:?}: {opened:?}");
            run(site, self.there != There::KeyAlone)
                .unwrap_or_else(|error| panic!("{case:?}: again: {error}"));
            assert_eq!(open_and_hold(site, case), Opened::New, "{case:?}: again");
        }
    }
}

impl Restore {
    /// Checks that the database that was replaced lies beside the new one, and is the old state.
    fn hold_old(&self, site: &Site, names: &[String], case: &dyn Debug) {
        let image = site.disk.image();
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
        assert_eq!(open_and_hold(&Site::on(old), &("replaced", case)), Opened::Old, "{case:?}");
    }
}

#[test]
fn a_restore_leaves_the_old_state_or_the_new_one() {
    let mut coverage = Coverage::new("restore");
    for there in [There::Closed, There::WithLog, There::Damaged, There::KeyAlone] {
        coverage.exercise(&Restore { there, before: before(there) }, 4);
    }
    coverage.finish();
}

#[test]
fn a_restore_replaces_nothing_unless_it_is_told_to() {
    for there in [There::Closed, There::WithLog, There::Damaged] {
        let site = Site::on(before(there));
        let error = run(&site, false).unwrap_err();
        assert!(matches!(error, StoreError::FileExists(_)), "{error:?}");
        assert_eq!(site.disk.done(), 0, "{there:?}: something was touched");
    }
}
