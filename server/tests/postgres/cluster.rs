//! A PostgreSQL server of the tests' own: made by `initdb` in a new directory, reached by a socket there, and stopped with the tests.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gatepass::database_address::DatabaseAddress;
use gatepass::store::postgres::PostgresStore;
use gatepass::store::{Access, Create, DatabaseServer, Installation, StoreError, StoreOptions};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::session::Session;

/// A server, running or not.
pub(crate) struct Cluster {
    dir: TempDir,
}

/// Returns the directory of the newest PostgreSQL on this machine.
fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL: install Debian's package `postgresql`")
}

/// Returns a command of PostgreSQL's. It refuses to run as the superuser, so that another user runs it then.
fn command(program: &str) -> Command {
    let path = programs().join(program);
    if !is_superuser() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
    command
}

fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a command, and returns what it prints.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a directory that the user of the servers may write.
fn directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("gatepass-pg").tempdir_in("/dev/shm").unwrap();
    if is_superuser() {
        let user = Command::new("id").args(["-u", "postgres"]).output().unwrap();
        let user: u32 = String::from_utf8(user.stdout).unwrap().trim().parse().unwrap();
        chown(dir.path(), Some(user), None).unwrap();
    }
    dir
}

fn signal(process: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(process).unwrap(), signal);
}

impl Cluster {
    /// Makes and starts a server.
    pub(crate) fn start() -> Self {
        let cluster = Self { dir: directory() };
        run(command("initdb")
            .args(["--auth=trust", "--username=gatepass", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(cluster.data()));
        cluster.start_again();
        cluster
    }

    /// Makes and starts a standby of this server.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self { dir: directory() };
        run(command("pg_basebackup")
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-U", "gatepass", "-h"])
            .arg(self.path())
            .arg("-D")
            .arg(standby.data()));
        standby.start_again();
        standby
    }

    /// Lets no commit of this server be answered before a standby has it.
    pub(crate) fn wait_for_standbys(&self) {
        let session = Session::open(&self.url("postgres"));
        session.run("ALTER SYSTEM SET synchronous_standby_names = '*'").unwrap();
        session.run("SELECT pg_reload_conf()").unwrap();
        session.wait_until("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')");
    }

    /// Waits until the standby has received everything that was committed so far.
    pub(crate) fn wait_until_received(&self) {
        let session = Session::open(&self.url("postgres"));
        session.wait_until(
            "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE flush_lsn >= pg_current_wal_lsn())",
        );
    }

    /// Has this standby receive nothing more.
    pub(crate) fn stop_receiving(&self) {
        let session = Session::open(&self.url("postgres"));
        session.run("ALTER SYSTEM SET primary_conninfo = ''").unwrap();
        session.run("SELECT pg_reload_conf()").unwrap();
        session.wait_until("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)");
    }

    /// Makes this standby the server that writes.
    pub(crate) fn promote(&self) {
        run(command("pg_ctl").args(["promote", "--wait", "--silent", "-D"]).arg(self.data()));
    }

    /// Starts it after it was stopped.
    pub(crate) fn start_again(&self) {
        let options = format!("-c listen_addresses= -c unix_socket_directories={}", self.path().display());
        run(command("pg_ctl")
            .args(["start", "--wait", "--silent", "-o", &options, "-l"])
            .arg(self.path().join("log"))
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null()));
    }

    /// Stops it as a crash of the machine would: nothing is finished, and nothing that is not on the disk is kept.
    pub(crate) fn crash(&self) {
        run(command("pg_ctl").args(["stop", "--wait", "--silent", "-m", "immediate", "-D"]).arg(self.data()));
    }

    /// Kills every process of it at once.
    pub(crate) fn kill(&self) {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let parent: i32 = file.lines().next().unwrap().parse().unwrap();
        // It starts no other one while they are looked for.
        signal(parent, Signal::STOP);
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(children).unwrap();
        let children = children.split_whitespace().map(|child| child.parse().unwrap());
        std::iter::once(parent).chain(children).for_each(|process| signal(process, Signal::KILL));
    }

    /// Kills one process of it that serves a connection of a store. The server ends all others, and starts anew by itself.
    pub(crate) fn kill_backend(&self, database: &str) -> bool {
        let sql = format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'gatepass' \
             ORDER BY state = 'idle', pid LIMIT 1"
        );
        let Some(process) = Session::open(&self.url("postgres")).rows(&sql).unwrap().pop() else {
            return false;
        };
        signal(process[0].parse().unwrap(), Signal::KILL);
        true
    }

    /// Ends every connection of a store to `database`, as an administrator of the server does.
    pub(crate) fn terminate_backends(&self, database: &str) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND \
             application_name = 'gatepass'"
        );
        Session::open(&self.url("postgres")).run(&sql).unwrap();
    }

    /// Makes a database of its own.
    pub(crate) fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {database}"));
        database
    }

    /// Waits until it takes connections.
    pub(crate) fn wait_until_up(&self) {
        while Session::try_open(&self.url("postgres")).is_err() {
            std::thread::yield_now();
        }
    }

    /// Puts a copy of a file into the directory of the data, so that the server alone can read it.
    pub(crate) fn take_file(&self, from: &Path, name: &str) {
        let to = self.data().join(name);
        std::fs::copy(from, &to).unwrap();
        let about = std::fs::metadata(self.data()).unwrap();
        chown(&to, Some(about.uid()), Some(about.gid())).unwrap();
        std::fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
    }

    /// Stops it, and starts it with other options beside its socket.
    pub(crate) fn restart_with(&self, options: &str) {
        let options = format!("-c unix_socket_directories={} {options}", self.path().display());
        run(command("pg_ctl")
            .args(["restart", "--wait", "--silent", "-m", "fast", "-o", &options, "-l"])
            .arg(self.path().join("log"))
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null()));
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Runs statements in a database, and returns their rows as text.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        run(Command::new(programs().join("psql"))
            .args(["-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "gatepass", "-h"])
            .arg(self.path())
            .args(["-d", database, "-c", sql]))
    }

    /// Returns the address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        address(&[self.path()], database)
    }
}

/// Returns the address of a database that one of the servers with these sockets has.
pub(crate) fn address(sockets: &[&Path], database: &str) -> String {
    let sockets: Vec<_> = sockets.iter().map(|dir| dir.to_str().unwrap().replace('/', "%2F")).collect();
    format!("postgres://gatepass@{}/{database}", sockets.join(","))
}

/// Returns the database at an address, for a store.
pub(crate) fn server(url: &str) -> DatabaseServer {
    DatabaseServer::new(DatabaseAddress::parse(url).unwrap(), None, None)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = command("pg_ctl").args(["stop", "-m", "immediate", "-D"]).arg(self.data()).output();
    }
}

/// Returns the server that the tests of this process share while one of them runs.
fn shared() -> Arc<Cluster> {
    static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Cluster::start());
        *shared = Arc::downgrade(&started);
        started
    })
}

/// A database of its own, and a data directory.
pub(crate) struct Fixture {
    dir: TempDir,
    cluster: Arc<Cluster>,
    database: String,
}

impl Fixture {
    pub(crate) fn empty() -> Self {
        let cluster = shared();
        let database = cluster.database();
        Self { dir: tempfile::tempdir().unwrap(), cluster, database }
    }

    pub(crate) fn url(&self) -> String {
        self.cluster.url(&self.database)
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the name of the database.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Returns the data directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the installation of its processes.
    pub(crate) fn installation(&self) -> Installation {
        Installation::at(self.dir()).with_server(Some(server(&self.url())))
    }

    /// Opens the store that is there, if there is one.
    pub(crate) fn open_there(&self, access: Access) -> Result<PostgresStore, StoreError> {
        let options = StoreOptions::default();
        PostgresStore::open(&server(&self.url()), &self.installation(), access, Create::No, &options)
    }

    /// Opens the store, as each of several processes does.
    pub(crate) fn store(&self) -> PostgresStore {
        self.open(Access::Serve).unwrap()
    }

    /// Opens the store as a command does.
    pub(crate) fn command(&self) -> PostgresStore {
        self.open(Access::Write).unwrap()
    }

    /// Opens the store as a command does that only reads.
    pub(crate) fn reading(&self) -> PostgresStore {
        self.open(Access::Read).unwrap()
    }

    /// Opens the store for a purpose, if that works.
    pub(crate) fn open(&self, access: Access) -> Result<PostgresStore, StoreError> {
        let installation = Installation::at(self.dir.path());
        PostgresStore::open(
            &server(&self.url()),
            &installation,
            access,
            Create::InEmpty,
            &StoreOptions::default(),
        )
    }

    /// Runs statements in the database, and returns their rows as text.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.cluster.sql(&self.database, sql)
    }
}
