//! Connections over TCP: who they are encrypted for, and which password they give.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use gatepass::database_address::DatabaseAddress;
use gatepass::store::postgres::PostgresStore;
use gatepass::store::{Access, Create, DatabaseServer, Installation, StoreOptions};
use gatepass_core::base::secret::SecretText;
use tempfile::TempDir;

use crate::cluster::Cluster;

const PASSWORD: &str = "correct horse battery";

/// A server that takes encrypted connections alone, with a certificate for `localhost`.
struct Encrypted {
    cluster: Cluster,
    dir: TempDir,
    port: u16,
}

fn openssl(dir: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes an authority, and a certificate of it for `localhost`.
fn certificates(dir: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    for (authority, name) in [("ca", "/CN=ours"), ("other", "/CN=another")] {
        let (key_file, file) = (format!("{authority}.key"), format!("{authority}.pem"));
        let files = ["-keyout", &key_file, "-out", &file, "-subj", name];
        openssl(dir, &[&["req", "-x509", "-days", "3650"], &key[..], &files].concat());
    }
    let files = ["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"];
    openssl(dir, &[&["req"], &key[..], &files].concat());
    fs::write(dir.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "names"];
    openssl(dir, &[&["x509", "-req", "-in", "server.csr", "-out", "server.pem"], &by[..]].concat());
}

impl Encrypted {
    fn start() -> Self {
        let (cluster, dir) = (Cluster::start(), tempfile::tempdir().unwrap());
        certificates(dir.path());
        cluster.sql("postgres", &format!("ALTER ROLE gatepass PASSWORD '{PASSWORD}'"));
        let (key, certificate) = ("server.key", "server.pem");
        for name in [key, certificate] {
            cluster.take_file(&dir.path().join(name), name);
        }
        let rules = "local all all trust\nhostssl all all all scram-sha-256\n";
        fs::write(dir.path().join("pg_hba.conf"), rules).unwrap();
        cluster.take_file(&dir.path().join("pg_hba.conf"), "pg_hba.conf");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        cluster.restart_with(&format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c ssl=on -c ssl_key_file={key} -c ssl_cert_file={certificate}"
        ));
        Self { cluster, dir, port }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Opens a store at `host`, whose certificate is verified with the file `roots`. Returns the message if that fails.
    fn open(&self, host: &str, roots: &str, password: Option<&str>) -> Result<(), String> {
        let (port, roots) = (self.port, self.file(roots));
        let address = format!("postgres://gatepass@{host}:{port}/postgres?sslrootcert={}", roots.display());
        let password = password.map(|password| SecretText::new(password.into()));
        self.open_at(&address, password, None)
    }

    fn open_at(
        &self,
        address: &str,
        password: Option<SecretText>,
        password_file: Option<PathBuf>,
    ) -> Result<(), String> {
        let address = DatabaseAddress::parse(address).unwrap();
        let server = DatabaseServer::new(address, password, password_file);
        let installation = Installation::at(self.dir.path());
        let opened = PostgresStore::open(
            &server,
            &installation,
            Access::Read,
            Create::InEmpty,
            &StoreOptions::default(),
        );
        opened.map(drop).map_err(|error| error.to_string())
    }
}

#[test]
fn only_the_server_that_is_meant_is_connected_to_and_by_its_password() {
    let server = Encrypted::start();
    fs::write(server.file("none.pem"), "nothing").unwrap();
    let port = server.port;
    assert_eq!(server.open("localhost", "ca.pem", Some(PASSWORD)), Ok(()));
    for (host, roots, password, told) in [
        (
            "localhost",
            "ca.pem",
            Some("wrong"),
            "password authentication failed for user \"gatepass\" (28P01)",
        ),
        ("localhost", "ca.pem", None, "store_password_file"),
        ("localhost", "other.pem", Some(PASSWORD), "UnknownIssuer"),
        // The certificate does not name it.
        ("127.0.0.1", "ca.pem", Some(PASSWORD), "not valid for name"),
        ("localhost", "none.pem", Some(PASSWORD), "has to be a PEM file"),
        ("localhost", "missing.pem", Some(PASSWORD), "missing.pem"),
    ] {
        let message = server.open(host, roots, password).unwrap_err();
        assert!(message.contains(told), "{host} {roots}: {message}");
        assert!(message.starts_with(&format!("postgres://gatepass@{host}:{port}/postgres: ")), "{message}");
        assert!(!message.contains(PASSWORD) && !message.contains("wrong"), "{message}");
    }
    let plain = format!("postgres://gatepass@localhost:{port}/postgres?sslmode=disable");
    let message = server.open_at(&plain, Some(SecretText::new(PASSWORD.into())), None).unwrap_err();
    assert!(message.contains("no encryption"), "{message}");

    let file = server.file("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let roots = server.file("ca.pem");
    // The first has another name, nobody listens at the second, and the third says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let hosts = format!("127.0.0.1:{port},localhost:1,localhost:{silent_port},localhost:{port}");
    let several = format!("postgres://gatepass@{hosts}/postgres?sslrootcert={}", roots.display());
    assert_eq!(server.open_at(&several, None, Some(file.clone())), Ok(()));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let message = server.open_at(&several, None, Some(file)).unwrap_err();
    assert!(message.contains("run `chmod 600"), "{message}");

    let socket = server.cluster.path().to_str().unwrap().replace('/', "%2F");
    let socket = format!("postgres://gatepass@{socket}:{port}/postgres");
    assert_eq!(server.open_at(&socket, None, None), Ok(()), "a socket needs neither");
    let message = server
        .open_at("postgres://gatepass@localhost:1,%2Fnowhere:2/postgres?sslmode=disable", None, None)
        .unwrap_err();
    assert!(message.contains("localhost:1: ") && message.contains("; %2Fnowhere:2: "), "{message}");
    assert!(message.contains("onnection refused"), "{message}");
}
