//! Files that the superuser makes for a service belong to the service. Where these tests run as another user, nothing is tested.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{KEY, text};
use crate::installation::{Server, TestInstallation};

/// The service's user and group.
const SERVICE: u32 = 65_534;

/// Makes a directory that belongs to the service; none if this user may not.
fn of_the_service() -> Option<TestInstallation> {
    let installation = TestInstallation::new();
    let given = chown(installation.path(), Some(SERVICE), Some(SERVICE));
    if given.is_err() {
        println!("this user may not give files away: nothing is tested");
    }
    given.ok().map(|()| installation)
}

/// Returns the names of files that do not belong to the service.
fn of_others(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let about = entry.metadata().unwrap();
        if (about.uid(), about.gid()) != (SERVICE, SERVICE) {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names
}

#[test]
fn what_commands_of_the_superuser_make_belongs_to_the_owner_of_the_directory() {
    let Some(installation) = of_the_service() else { return };
    let dir = installation.path();
    let [backup, archive] = ["1.backup", "1.archive"].map(|name| dir.join(name));
    for command in [
        &["--init", "key", "generate", "--alg", "EdDSA", "--activate"][..],
        &["user", "add", "alice"],
        &["backup", text(&backup)],
        &["audit", "archive", text(&archive)],
        &["key", "rotate-master"],
    ] {
        installation.json(command);
        assert_eq!(of_others(dir), [""; 0], "{command:?}");
    }
    let server = installation.serve(&["--witness-interval", "100ms"]);
    installation.json(&["user", "add", "bob"]);
    assert!(dir.join("gatepass.db-wal").exists() && dir.join("gatepass.db-shm").exists());
    assert_eq!(of_others(dir), [""; 0], "of a server, with the log and its index");
    assert!(dir.join("admin.secret").exists());
    assert_eq!(server.end(), Some(0));
    // The backup was made under the former key.
    fs::copy(dir.join("master.key.old"), dir.join(KEY)).unwrap();
    for command in [&["restore", text(&backup), "--replace"][..], &["restore", "--accept"]] {
        installation.json(command);
        assert_eq!(of_others(dir), [""; 0], "{command:?}");
    }
}

#[test]
fn a_directory_that_is_made_belongs_to_the_owner_of_the_one_above() {
    let Some(installation) = of_the_service() else { return };
    let data = installation.path().join("a/b");
    installation.json(&["--data", text(&data), "--init", "user", "add", "alice"]);
    for dir in [installation.path(), &installation.path().join("a"), &data] {
        assert_eq!(of_others(dir), [""; 0], "{}", dir.display());
    }
}

#[test]
fn the_superuser_and_the_service_work_on_the_same_files() {
    let Some(installation) = of_the_service() else { return };
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    let mut serve = installation.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    serve.uid(SERVICE).gid(SERVICE).stderr(Stdio::null());
    let server = Server::start(serve);
    installation.json(&["user", "add", "alice"]);
    let ticket = installation.json(&["ticket", "issue", "--user", "alice"])["ticket"].clone();
    assert_eq!(server.sign_in(&ticket).0, 200);
    installation.json(&["client", "rotate-secret", "admin"]);
    assert_eq!(server.ask("GET", "/readyz", "", "").0, 200);
    assert_eq!(of_others(installation.path()), [""; 0]);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_master_key_that_is_mounted_for_a_group_of_the_service_is_taken() {
    let Some(installation) = of_the_service() else { return };
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    let mount = TestInstallation::new();
    fs::set_permissions(mount.path(), Permissions::from_mode(0o755)).unwrap();
    let key = mount.path().join("secret");
    fs::rename(installation.path().join(KEY), &key).unwrap();
    // Root's, or of nobody that is known in a container, for a group of the service, which is its only one.
    for (owner, group, mode, taken) in [
        (0, SERVICE, 0o440, true),
        (4321, SERVICE, 0o440, true),
        (0, SERVICE, 0o444, false),
        (4321, SERVICE, 0o460, false),
    ] {
        chown(&key, Some(owner), Some(group)).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let mut list = installation.command(&["user", "list"]);
        list.env("GATEPASS_MASTER_KEY_FILE", &key).uid(SERVICE).gid(SERVICE);
        let output = list.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), taken, "{owner}:{group} {mode:o}: {said}");
        assert!(taken || said.contains("0440"), "{said}");
    }
}
