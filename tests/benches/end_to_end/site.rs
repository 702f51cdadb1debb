//! The server that is measured: the real binary on a directory with people in it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gatepass::cli::context;
use gatepass::config::Given;
use gatepass::store::{Access, Installation, KeyState, Store, StoreOptions};
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::jose::key::SigningKey;
use gatepass_core::records::user::Status;
use gatepass_core::settings::Issuer;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::server::{Running, Site, binary};
use gatepass_tests::suite::Target;
use gatepass_tests::world;

use crate::disk::Syncs;

/// How many people there are to sign in.
pub(crate) const PEOPLE: usize = 1000;

/// A directory that is served, and what is needed to look at the same file from here.
pub(crate) struct Served {
    /// Before the directory, so that it ends before that goes.
    pub(crate) running: Running,
    pub(crate) site: Site,
    pub(crate) syncs: Syncs,
    /// How many people there are.
    pub(crate) people: usize,
    pub(crate) arguments: &'static [&'static str],
    binary: PathBuf,
    delay: Duration,
}

impl Served {
    /// A new directory, served with `arguments`; every sync of the disk takes `delay` longer.
    pub(crate) fn new(arguments: &'static [&'static str], delay: Duration) -> Self {
        Self::by(binary(), arguments, delay)
    }

    /// The same by another binary.
    pub(crate) fn by(binary: &Path, arguments: &'static [&'static str], delay: Duration) -> Self {
        let (site, syncs, binary) = (site(), Syncs::new(), binary.to_owned());
        let running = serve(&site, &syncs, &binary, arguments, delay);
        Self { site, running, syncs, people: PEOPLE, arguments, binary, delay }
    }

    /// Ends the server and starts it again.
    pub(crate) fn restart(&mut self) {
        self.stop_and(|_| ());
    }

    /// Ends the server, does `deed` to its directory, and starts it again.
    pub(crate) fn stop_and(&mut self, deed: impl FnOnce(&Site)) {
        self.running.end();
        deed(&self.site);
        self.running = serve(&self.site, &self.syncs, &self.binary, self.arguments, self.delay);
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.running.address
    }

    pub(crate) const fn target(&self) -> Target {
        self.running.target()
    }

    /// Has the server sign by `algorithm` from now on.
    pub(crate) fn sign_by(&self, algorithm: &str) {
        self.site.json(&["key", "generate", "--alg", algorithm, "--activate"]);
    }

    /// The store and the core as the server has them.
    pub(crate) fn parts(&self) -> (Store, Engine, SigningKey) {
        let store = open(&self.site);
        let issuer = Issuer::parse(&format!("http://{}", self.address())).expect("an issuer");
        let settings = context::settings(&Given::default().resolve().expect("the defaults"), issuer);
        let engine = context::engine(&store, settings).expect("the keys");
        let keys = store.keys().expect("the keys").keys;
        let key = keys.iter().find(|key| key.state == KeyState::Signing).expect("a key that signs");
        let key = SigningKey::from_jwk(&key.storage, None).expect("a key");
        (store, engine, key)
    }
}

/// The time on the wall.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Time::from_unix(since.as_secs())
}

fn serve(site: &Site, syncs: &Syncs, binary: &Path, arguments: &[&str], delay: Duration) -> Running {
    let arguments = [&["--json", "serve", "--listen", "127.0.0.1:0"], arguments].concat();
    let mut command = site.command_of(binary, &arguments);
    syncs.attach(&mut command, delay);
    Running::start(command, Stdio::null())
}

/// A directory with everybody in it, on the disk that holds this project's build.
fn site() -> Site {
    let site = Site::below(env!("CARGO_TARGET_TMPDIR"));
    site.populate();
    let people: Vec<Change> = (0..PEOPLE)
        .map(|number| Change::InsertUser(world::user(&format!("person{number}"), Status::Active)))
        .collect();
    assert_eq!(open(&site).commit(&Arc::from(people)), Outcome::Applied);
    site
}

/// The store of `site`, opened from here.
fn open(site: &Site) -> Store {
    Store::open(&Installation::at(site.path()), Access::Write, &StoreOptions::default()).expect("the store")
}
