//! Directories on a simulated disk.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gatepass::store::{Access, Create, Installation, Store, StoreError, StoreOptions};
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::store::change::{Change, Outcome};
use tempfile::TempDir;

use crate::disk::Disk;
use crate::files::SimulatedFiles;
use crate::fixture::*;
use crate::image::Image;
use crate::vfs::{mount, unmount};

/// The data directory on the disk.
pub(crate) const DATA: &str = "data";
/// The directory of the backups.
pub(crate) const BACKUPS: &str = "backups";

/// A data directory and one for backups on a simulated disk. Locks are on real directories.
pub(crate) struct DiskFixture {
    inner: Fixture,
    backups: TempDir,
    pub(crate) disk: Arc<Disk>,
}

impl Drop for DiskFixture {
    fn drop(&mut self) {
        unmount(self.inner.dir());
        unmount(self.backups.path());
    }
}

/// The test data with two keys and a second factor, closed.
static WORLD: LazyLock<Image> = LazyLock::new(|| {
    let fixture = DiskFixture::on(Image::default());
    let store = fixture.open_or_create().unwrap();
    let tables = gatepass_tests::fixtures::tables();
    let users = tables.users.into_values().map(Change::InsertUser);
    let clients = tables.clients.into_values().map(Change::InsertClient);
    assert_eq!(commit(&store, users.chain(clients)), Outcome::Applied);
    assert_eq!(commit(&store, [Change::InsertDevice(device(1, alice()))]), Outcome::Applied);
    for (kid, state) in [("a", KeyState::Signing), ("b", KeyState::Published)] {
        let generation = store.keys().unwrap().generation;
        assert_eq!(commit(&store, [insert_key(kid, state, generation)]), Outcome::Applied);
    }
    store.close().unwrap();
    let image = fixture.disk.image();
    assert_eq!(image.names(DATA), ["gatepass.db", "gatepass.witness", "master.key"]);
    image
});

/// Returns the test data.
pub(crate) fn world() -> Image {
    WORLD.clone()
}

/// Returns options with which a server's threads do nothing by themselves, so that every run is the same.
pub(crate) fn options() -> StoreOptions {
    StoreOptions { readers: 1, witness_interval: Duration::from_secs(3600), ..StoreOptions::default() }
}

impl DiskFixture {
    /// Makes the test data on a disk that does not fail yet.
    pub(crate) fn new() -> Self {
        Self::on(world())
    }

    /// Puts `image` on a new disk.
    pub(crate) fn on(image: Image) -> Self {
        let (inner, disk) = (Fixture::empty(), Arc::new(Disk::new(image)));
        let backups = tempfile::tempdir().unwrap();
        mount(&disk, &[(inner.dir(), DATA), (backups.path(), BACKUPS)]);
        Self { inner, backups, disk }
    }

    pub(crate) fn installation(&self) -> Installation {
        Installation { files: Arc::new(SimulatedFiles), ..self.inner.installation() }
    }

    pub(crate) fn inner(&self) -> &Fixture {
        &self.inner
    }

    /// Returns the path of a backup.
    pub(crate) fn backup(&self, name: &str) -> PathBuf {
        self.backups.path().join(name)
    }

    pub(crate) fn open(&self, access: Access) -> Result<Store, StoreError> {
        Store::open(&self.installation(), access, &options())
    }

    pub(crate) fn open_or_create(&self) -> Result<Store, StoreError> {
        Store::open_or_create(&self.installation(), Access::Serve, Create::InEmpty, &options())
    }

    /// Opens as a server does, and expects no notices.
    pub(crate) fn serve(&self, case: &dyn std::fmt::Debug) -> Store {
        let store = match self.open(Access::Serve) {
            Ok(store) => store,
            Err(error) => panic!("{case:?}: it does not open: {error}; {:?}", self.disk.names(DATA)),
        };
        assert_eq!(store.notices(), [], "{case:?}: a false alarm");
        store
    }
}

/// Opens a file that has no writer, checks that it is a whole database, and returns the connection.
pub(crate) fn whole(path: &std::path::Path, case: &dyn std::fmt::Debug) -> rusqlite::Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    let uri = format!("file:{}?immutable=1", path.display());
    let db = rusqlite::Connection::open_with_flags(uri, flags).unwrap();
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "{case:?}: {}", path.display());
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(number("SELECT count(*) FROM users") > 0, "{case:?}: {}", path.display());
    db
}
