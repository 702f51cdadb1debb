//! Imports and exports of users.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::installation::{TestInstallation, read};

/// Of `correct horse`, by another program.
const BCRYPT: &str = "$2b$04$y9iwiS0A2VjZWCeJeGOmueuOhOkybeNj4JkKsj6WIH6SFTk8y6Y7.";

fn file(installation: &TestInstallation, text: &str) -> String {
    let path: PathBuf = installation.path().join("people.import");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    let mut lines = String::new();
    for number in numbers {
        let hash = if number % 2 == 0 {
            BCRYPT
        } else {
            "pbkdf2_sha256$1000$somesalt12$WN59NP4FjbM2jInhBAAKsjPYjplp9G3Wlu9udzguW40="
        };
        let line = json!({"username": format!("person{number}"), "email": format!("p{number}@example.com"), "password_hash": hash});
        writeln!(lines, "{line}").unwrap();
    }
    lines
}

/// Runs a command that reads `input`, and returns what it prints.
fn json_with(installation: &TestInstallation, arguments: &[&str], input: &str) -> Value {
    let arguments = [&["--json"], arguments].concat();
    read(&arguments, &installation.run_with(&arguments, input), 0)
}

/// Returns the exit code and what was told of a refused import of `text`.
fn refused(installation: &TestInstallation, text: &str) -> (i32, String) {
    let output = installation.run_with(&["user", "import", "-"], text);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn counts(report: &Value) -> Vec<u64> {
    ["lines", "added", "changed", "unchanged", "kept_passwords"]
        .map(|name| report[name].as_u64().unwrap())
        .into()
}

#[test]
fn people_come_with_their_passwords_from_lines_and_tables() {
    let installation = TestInstallation::new();
    let path = file(&installation, &lines(0..3));
    let dry = installation.json(&["--init", "user", "import", &path, "--dry-run"]);
    assert_eq!((counts(&dry), &dry["dry_run"]), (vec![3, 3, 0, 0, 0], &json!(true)));
    assert_eq!(installation.json(&["user", "list"]), json!([]));
    assert_eq!(counts(&installation.json(&["user", "import", &path])), [3, 3, 0, 0, 0]);
    assert_eq!(counts(&installation.json(&["user", "import", &path])), [3, 0, 0, 3, 0]);
    let table = "\u{feff}username,name,address,must_change_password,password\r\n\
                 person0,\"Zero, Person\",,,\r\n\
                 zoe,\"Zoe \"\"Z\"\"\r\nZ.\",\"{\"\"city\"\":\"\"Berlin\"\"}\",true,a password that will do\r\n";
    let (status, message) = refused(&installation, table);
    let wrong = "nothing of 1 lines was imported:\n  line 3: a name is at most 256 characters, none of them a control character";
    assert!(status == 1 && message.contains(wrong), "{message}");
    let table = table.replace("\r\nZ.", "");
    assert_eq!(counts(&json_with(&installation, &["user", "import", "-"], &table)), [2, 1, 1, 0, 0]);
    let zoe = installation.json(&["user", "show", "zoe"]);
    assert_eq!(
        (&zoe["name"], &zoe["address"]["city"], &zoe["must_change_password"]),
        (&json!("Zoe \"Z\""), &json!("Berlin"), &json!(true))
    );
    assert_eq!(installation.json(&["user", "show", "person0"])["name"], "Zero, Person");

    // In an empty directory, what was exported makes the same people.
    let exported = installation.run(&["user", "export", "--hashes"]).stdout;
    let exported = String::from_utf8(exported).unwrap();
    let other = TestInstallation::new();
    json_with(&other, &["--init", "user", "import", "-"], &exported);
    assert_eq!(String::from_utf8(other.run(&["user", "export", "--hashes"]).stdout).unwrap(), exported);
    let plain = String::from_utf8(installation.run(&["user", "export"]).stdout).unwrap();
    assert!(plain.lines().count() == 4 && !plain.contains("$2b$"), "{plain}");

    let server = installation.serve(&[]);
    for who in ["person0", "person1"] {
        let body = |password: &str| json!({"identity": who, "password": password}).to_string();
        let ask = |password| {
            server.ask("POST", "/auth/login", "Content-Type: application/json\r\n", &body(password)).0
        };
        assert_eq!([ask("wrong"), ask("correct horse"), ask("correct horse")], [400, 200, 200], "{who}");
    }
    assert_eq!(counts(&installation.json(&["user", "import", &path])), [3, 0, 0, 3, 2]);
}

#[test]
fn every_error_is_told_and_nothing_is_written() {
    let installation = TestInstallation::new();
    installation.json(&["--init", "user", "add", "alice", "--email", "a@example.com"]);
    let mut text = lines(0..600);
    text.push_str("\n{\"username\": \"alice\"\n{\"username\":\"zoe\",\"email\":\"A@example.com\"}\n");
    text.push_str("{\"username\":\"PERSON7@x\",\"email\":\"p3@EXAMPLE.com\"}\n");
    let (status, message) = refused(&installation, &text);
    assert_eq!(status, 1);
    for line in [
        "  line 602: no JSON object: it ends too soon",
        "  line 603: the e-mail address \"A@example.com\" is taken: it is the e-mail address of user \"alice\"",
        "  line 604: line 4 is about the same user, or has the same identifier",
    ] {
        assert!(message.contains(line), "{line}: {message}");
    }
    assert_eq!(installation.json(&["user", "list"]).as_array().unwrap().len(), 1);
    for (table, wrong) in [
        ("username,departement\na,b\n", "the table has a column \"departement\""),
        ("username,username\na,b\n", "the table has the column \"username\" twice"),
        ("username,name\na\n", "line 2: 1 cells, where the table has 2 columns"),
        ("username,name\n\na,\"Zoe\nb,Yan\n", "the table has a quotation mark that no other one closes"),
        (
            "username,name\na,b\0\n",
            "line 2: a name is at most 256 characters, none of them a control character",
        ),
        (&format!("username,name\na,{}", "x".repeat(70_000)), "the row of line 2 has over 65536 bytes"),
        (&format!("username,name\na{}", ",".repeat(70_000)), "the row of line 2 has over 14 cells"),
        (&format!("{}\n", "x".repeat(60_000)), "the table has a column \"xxxx"),
        (&format!("{{\"username\":\"{}\"}}", "x".repeat(70_000)), "line 1: over 65536 bytes"),
        ("{\"username\":\"a\0\"}", "line 1: no JSON object: it is not JSON"),
        ("{\"username\":\"a\\u0000\"}", "line 1: a user name is 1 to 128 characters"),
        (
            "{\"username\":\"a\",\"address\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
            "nested deeper",
        ),
        (
            "username,address\na,[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
            "line 2: an address is at most",
        ),
        ("[{\"username\":\"a\"}]", "the table has a column"),
    ] {
        let (_, message) = refused(&installation, table);
        assert!(message.contains(wrong), "{message}");
    }
}

#[test]
fn an_import_that_was_killed_goes_on() {
    let installation = TestInstallation::new();
    installation.json(&["--init", "user", "add", "alice"]);
    let path = file(&installation, &lines(0..2_500));
    let mut child = installation.command(&["user", "import", &path]).spawn().unwrap();
    let count = || installation.json(&["user", "list"]).as_array().unwrap().len();
    // It is killed between the first commit and the last.
    while count() == 1 {}
    child.kill().unwrap();
    child.wait().unwrap();
    let there = count() - 1;
    assert!(there.is_multiple_of(100), "{there}");
    let report = installation.json(&["user", "import", &path]);
    let there = u64::try_from(there).unwrap();
    assert_eq!(counts(&report), [2_500, 2_500 - there, 0, there, 0]);
    assert_eq!(count(), 2_501);
    assert_eq!(installation.run(&["check"]).status.code(), Some(0));
}

#[test]
fn a_user_who_is_named_twice_is_refused_however_far_apart() {
    let installation = TestInstallation::new();
    let alice = installation.json(&["--init", "user", "add", "alice"]);
    let text =
        format!("{{\"username\":\"alice\"}}\n{}{}\n", lines(0..600), json!({"id": alice["id"], "name": "A"}));
    let (status, message) = refused(&installation, &text);
    let wrong = "line 602: line 1 is about the same user, or has the same identifier";
    assert!(status == 1 && message.contains(wrong), "{message}");
    assert_eq!(installation.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_is_not_utf8_is_refused_with_its_line() {
    let installation = TestInstallation::new();
    installation.json(&["--init", "user", "add", "alice"]);
    let path = installation.path().join("people.import");
    for (bytes, told) in [
        (&b"{\"username\":\"a\"}\n{\"username\":\"\xff\"}\n"[..], "line 2: no JSON object: it is not UTF-8"),
        (b"username,name\na,b\nc,\xe4\n", "line 3 of the table is not UTF-8"),
        (b"\xff\xfeu\0s\0", "line 1 of the table is not UTF-8"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let output = installation.run(&["user", "import", path.to_str().unwrap()]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && message.contains(told), "{told}: {message}");
    }
}
