//! Copying the database while a server runs: a file with the backup's name is a whole backup.

use std::fmt::Debug;

use gatepass::store::Store;

use crate::commits::{BEFORE, Commit, applied, committed, recover, serve_and_hold};
use crate::coverage::{Coverage, Operation};
use crate::disk_fixture::{BACKUPS, DiskFixture, whole};

struct Backup;

impl Operation for Backup {
    type Prepared = Store;

    fn prepare(&self, fixture: &DiskFixture) -> Store {
        committed(fixture)
    }

    fn run(&self, fixture: &DiskFixture, store: &mut Store) -> bool {
        store.backup(&fixture.backup("one"), None, &mut |_, _| ()).is_ok()
    }

    fn go_on(&self, fixture: &DiskFixture, store: &mut Store, case: &dyn Debug) {
        recover(store, [Commit::Issue(7), Commit::Issue(8)], case);
        let again = store.backup(&fixture.backup("two"), None, &mut |_, _| ());
        assert!(again.is_ok_and(|report| report.chain_verified), "{case:?}");
    }

    fn hold(&self, fixture: &DiskFixture, told: Option<bool>, case: &dyn Debug) {
        let names = fixture.disk.names(BACKUPS);
        assert!(told != Some(true) || names.iter().any(|name| name == "one"), "{case:?}: there is no backup");
        for name in names.iter().filter(|name| !name.contains('.')) {
            let db = whole(&fixture.backup(name), case);
            let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            assert!(number("SELECT copied_at FROM meta") > 0, "{case:?}");
            let tickets = number("SELECT count(*) FROM tickets");
            assert!(if name == "one" { tickets == 2 } else { tickets > 2 }, "{case:?}: {name} {tickets}");
        }
        serve_and_hold(fixture, &applied(BEFORE), case);
    }
}

#[test]
fn a_backup_is_whole_or_is_not_there() {
    let mut coverage = Coverage::new("backup");
    coverage.exercise(&Backup, 1);
    coverage.finish();
}
