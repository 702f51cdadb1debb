//! The measured server: the real binary on a directory with users in it.

use gatepass::store::prelude::*;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gatepass::config::ConfigLayer;
use gatepass::store::load_engine;
use gatepass::store::{Access, Installation, Store, StoreOptions};
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::jose::key::SigningKey;
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::records::user::Status;
use gatepass_core::settings::Issuer;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::fixtures;
use gatepass_tests::server::{Running, TestInstallation, binary};
use gatepass_tests::suite::Target;

use crate::disk::Syncs;

/// The number of users to sign in.
pub(crate) const PEOPLE: usize = 1000;

/// A server on a directory, and access to the same file from here.
pub(crate) struct MeasuredServer {
    /// Declared before the directory, so that it is dropped first.
    pub(crate) running: Running,
    pub(crate) installation: TestInstallation,
    pub(crate) syncs: Syncs,
    /// The number of users.
    pub(crate) people: usize,
    pub(crate) arguments: &'static [&'static str],
    binary: PathBuf,
    delay: Duration,
}

impl MeasuredServer {
    /// Starts a server on a new directory with `arguments`; every sync of the disk takes `delay` longer.
    pub(crate) fn new(arguments: &'static [&'static str], delay: Duration) -> Self {
        Self::by(binary(), arguments, delay)
    }

    /// Does the same with another binary.
    pub(crate) fn by(binary: &Path, arguments: &'static [&'static str], delay: Duration) -> Self {
        let (installation, syncs, binary) = (installation(), Syncs::new(), binary.to_owned());
        let running = serve(&installation, &syncs, &binary, arguments, delay);
        Self { installation, running, syncs, people: PEOPLE, arguments, binary, delay }
    }

    /// Ends the server and starts it again.
    pub(crate) fn restart(&mut self) {
        self.stop_and(|_| ());
    }

    /// Stops the server, runs `operation` on its directory, and starts it again.
    pub(crate) fn stop_and(&mut self, operation: impl FnOnce(&TestInstallation)) {
        self.running.end();
        operation(&self.installation);
        self.running = serve(&self.installation, &self.syncs, &self.binary, self.arguments, self.delay);
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.running.address
    }

    pub(crate) const fn target(&self) -> Target {
        self.running.target()
    }

    /// Makes the server sign by `algorithm` from now on.
    pub(crate) fn sign_by(&self, algorithm: &str) {
        self.installation.json(&["key", "generate", "--alg", algorithm, "--activate"]);
    }

    /// Returns the store and the core as the server has them.
    pub(crate) fn parts(&self) -> (Store, Engine, SigningKey) {
        let store = open(&self.installation);
        let issuer = Issuer::parse(&format!("http://{}", self.address())).expect("an issuer");
        let settings = ConfigLayer::default().resolve().expect("the defaults").core_settings(issuer);
        let engine = load_engine(&store, settings).expect("the keys");
        let keys = store.keys().expect("the keys").keys;
        let key = keys.iter().find(|key| key.record.state == KeyState::Signing).expect("a key that signs");
        let key = key.signing_key().expect("a key");
        (store, engine, key)
    }
}

/// Returns the wall-clock time.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Time::from_unix(since.as_secs())
}

fn serve(
    installation: &TestInstallation,
    syncs: &Syncs,
    binary: &Path,
    arguments: &[&str],
    delay: Duration,
) -> Running {
    let arguments = [&["--json", "serve", "--listen", "127.0.0.1:0"], arguments].concat();
    let mut command = installation.command_of(binary, &arguments);
    syncs.attach(&mut command, delay);
    Running::start(command, Stdio::null())
}

/// Makes a directory with all users, on the disk of this project's build.
fn installation() -> TestInstallation {
    let installation = TestInstallation::below(env!("CARGO_TARGET_TMPDIR"));
    installation.populate();
    let people: Vec<Change> = (0..PEOPLE)
        .map(|number| Change::InsertUser(fixtures::user(&format!("person{number}"), Status::Active)))
        .collect();
    assert_eq!(open(&installation).commit(&Arc::from(people)), Outcome::Applied);
    installation
}

/// Opens the store of `installation` from here.
fn open(installation: &TestInstallation) -> Store {
    Store::open(&Installation::at(installation.path()), Access::Write, &StoreOptions::default())
        .expect("the store")
}
