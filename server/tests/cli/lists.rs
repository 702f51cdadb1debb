//! Long lists: pages, searches, and readers that stop.

use std::io::{BufRead as _, BufReader};

use gatepass::store::DATABASE;
use serde_json::Value;

use crate::installation::TestInstallation;

/// Makes an installation with so many users, named by number.
fn with_users(count: u32) -> TestInstallation {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "u0", "--email", "First@example.com", "--name", "张伟"]);
    let db = rusqlite::Connection::open(installation.path().join(DATABASE)).unwrap();
    let columns: Vec<String> = db
        .prepare("SELECT name FROM pragma_table_info('users') WHERE name NOT IN ('seq', 'id', 'username', 'email', 'phone')")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let columns = columns.join(", ");
    let copied = db.execute(
        &format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) \
             INSERT INTO users (id, username, {columns}) \
             SELECT printf('usr_%022d', n), 'u' || n, {columns} FROM n, users WHERE username = 'u0'"
        ),
        [count - 1],
    );
    assert_eq!(copied, Ok(usize::try_from(count - 1).unwrap()));
    drop(db);
    installation
}

#[test]
fn a_list_of_several_pages_is_whole_in_both_formats() {
    let installation = with_users(1234);
    let listed = installation.json(&["user", "list"]);
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..1234).map(|n| format!("u{n}")).collect();
    assert_eq!(names, expected);
    let text = String::from_utf8(installation.run(&["user", "list"]).stdout).unwrap();
    assert_eq!(text.lines().count(), 1235, "with one head");
    assert!(text.lines().last().unwrap().contains("u1233"));
}

#[test]
fn a_reader_that_stops_after_a_line_ends_the_command_quietly() {
    let installation = with_users(5000);
    for arguments in [&["user", "list"][..], &["--json", "user", "list"]] {
        let mut child = installation.command(arguments).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.contains("USERNAME") || line.starts_with("[{"), "{line}");
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{arguments:?}");
    }
}

#[test]
fn users_are_searched_for() {
    let installation = with_users(1234);
    let found = |text: &str| {
        let listed = installation.json(&["user", "list", "--search", text]);
        let names =
            listed.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(found("U123"), ["u123", "u1230", "u1231", "u1232", "u1233"]);
    assert_eq!(found("first@EXAMPLE"), ["u0"]);
    assert_eq!(found("usr_0000000000000000001233"), ["u1233"], "on the last page");
    assert_eq!(found("nobody"), [""; 0]);
    assert_eq!(installation.json(&["user", "list", "--search", "nobody"]), Value::Array(Vec::new()));
}
