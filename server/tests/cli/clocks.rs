//! A wall clock that differs from the mark, on the real binary. The test sets the mark, since the wall clock is the
//! machine's.

use std::io::{BufRead, BufReader};
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass::store::DATABASE;
use serde_json::{Value, json};

use crate::installation::{Server, TestInstallation, read};

const DAY: i64 = 86_400;
const HOUR: i64 = 3600;

fn wall() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn sql(installation: &TestInstallation, statement: &str, values: impl rusqlite::Params) -> usize {
    rusqlite::Connection::open(installation.path().join(DATABASE))
        .unwrap()
        .execute(statement, values)
        .unwrap()
}

fn number(installation: &TestInstallation, query: &str) -> i64 {
    let sql = rusqlite::Connection::open(installation.path().join(DATABASE)).unwrap();
    sql.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Makes an installation with a user, whose mark is `ahead` of the wall clock.
fn installation_with_mark(ahead: i64) -> TestInstallation {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "alice"]);
    plant(&installation, ahead);
    installation
}

fn plant(installation: &TestInstallation, ahead: i64) {
    assert_eq!(sql(installation, "UPDATE meta SET clock_mark = ?1", [wall() + ahead]), 1);
}

fn warnings(server: &Server) -> Value {
    let (status, ready) = server.ask("GET", "/readyz", "", "");
    assert_eq!(status, 200);
    ready["warnings"].clone()
}

fn ticket(installation: &TestInstallation) -> Value {
    installation.json(&["ticket", "issue", "--user", "alice"])["ticket"].clone()
}

#[test]
fn a_server_that_finds_the_clock_ahead_uses_it_and_leaves_the_mark() {
    let installation = installation_with_mark(-8 * HOUR);
    let server = installation.serve(&[]);
    assert_eq!(warnings(&server), json!(["clock-ahead"]));
    assert_eq!(server.sign_in(&ticket(&installation)).0, 200);
    let shown = installation.json(&["clock", "show"]);
    assert!(shown["ahead"].as_i64().unwrap() > 7 * HOUR, "{shown}");
    assert!(shown["provisional_since"].is_string() && shown["provisional_for"].is_u64(), "{shown}");
    assert_eq!((&shown["sweeps_wait"], &shown["sweeps_from"]), (&json!(true), &Value::Null));
    assert_eq!(server.end(), Some(0));
    let mark = number(&installation, "SELECT clock_mark FROM meta");
    assert!(mark < wall() - 7 * HOUR, "the mark moved at once: {mark}");
}

#[test]
fn the_log_tells_of_a_wrong_clock_before_the_server_is_ready() {
    for (ahead, level, words) in [
        (10 * DAY, "WARN", Some("the wall clock is behind")),
        (-8 * HOUR, "INFO", Some("the wall clock is ahead of the mark")),
        (0, "", None),
    ] {
        let installation = installation_with_mark(ahead);
        let mut child = installation
            .command(&["serve", "--listen", "127.0.0.1:0", "--log-format", "text"])
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines: Vec<String> =
            stderr.lines().map(Result::unwrap).take_while(|line| !line.contains("ready")).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let told: Vec<_> = lines.iter().filter(|line| line.contains("the wall clock")).collect();
        match words {
            Some(words) => {
                assert!(told.len() == 1 && told[0].contains(words) && told[0].contains(level), "{lines:?}")
            }
            None => assert!(told.is_empty(), "{lines:?}"),
        }
    }
}

#[test]
fn a_reset_holds_for_the_next_request() {
    let installation = installation_with_mark(10 * DAY);
    let server = installation.serve(&[]);
    assert_eq!(warnings(&server), json!(["clock-behind"]));
    installation.json(&["clock", "reset"]);
    // The next request reads the new mark by itself.
    assert_eq!(warnings(&server), Value::Null);
    // The reverse: a server ten days ahead refuses a ticket of today.
    let issued = ticket(&installation);
    sql(
        &installation,
        "UPDATE meta SET clock_mark = ?1, clock_resets = clock_resets + 1, generation = generation + 1",
        [wall() + 10 * DAY],
    );
    assert_eq!(server.sign_in(&issued).0, 400);
    installation.json(&["clock", "reset"]);
    assert_eq!(server.sign_in(&ticket(&installation)).0, 200);
}

#[test]
fn a_reset_ends_what_is_dated_ahead_and_says_how_much() {
    let installation = installation_with_mark(10 * DAY);
    let server = installation.serve(&[]);
    let sessions: Vec<Value> = (0..2).map(|_| server.sign_in(&ticket(&installation)).1).collect();
    // Dated by a server ten days ahead.
    sql(&installation, "UPDATE sessions SET signed_in_at = ?1", [wall() + 10 * DAY]);
    let unused = ticket(&installation);
    let told = installation.json(&["clock", "reset"]);
    assert_eq!(
        (&told["sessions_ended"], &told["tickets_revoked"], &told["challenges_ended"]),
        (&json!(2), &json!(1), &json!(0))
    );
    assert_eq!((&told["behind"], &told["sweeps_wait"]), (&Value::Null, &json!(true)));
    let rows = installation.json(&["audit", "list"]);
    let row = rows.as_array().unwrap().iter().find(|row| row["kind"] == "clock.reset").unwrap();
    assert_eq!(row["count"], 2);
    assert_eq!(server.sign_in(&unused).0, 400);
    for session in &sessions {
        let bearer = format!("Authorization: Bearer {}\r\n", session["access_token"].as_str().unwrap());
        assert_eq!(server.ask("GET", "/userinfo", &bearer, "").0, 401);
    }
    assert_eq!(number(&installation, "SELECT count(*) FROM sessions WHERE ended_at IS NULL"), 0);
    // The text output, and a reset that ends nothing.
    let text = String::from_utf8(installation.run(&["clock", "reset"]).stdout).unwrap();
    assert!(text.contains("sessions_ended") && text.contains("tickets_revoked"), "{text}");
    assert_eq!(installation.json(&["audit", "verify"])["valid"], true);
}

#[test]
fn a_running_server_looks_through_what_a_jump_has_left() {
    let installation = installation_with_mark(0);
    let server = installation.serve(&["--sweep-interval", "1s"]);
    assert_eq!(server.sign_in(&ticket(&installation)).0, 200);
    let left = "UPDATE sessions SET signed_in_at = ?1";
    sql(&installation, left, [wall() + DAY]);
    sql(&installation, "UPDATE meta SET clock_ahead_since = 1", []);
    let ended = (0..3_000).any(|_| {
        installation.json(&["clock", "show"]).is_object()
            && number(&installation, "SELECT count(*) FROM meta WHERE clock_ahead_since IS NULL") == 1
    });
    assert!(ended);
    assert_eq!(number(&installation, "SELECT count(*) FROM sessions WHERE ended_at IS NULL"), 0);
}

#[test]
fn a_start_ends_what_is_dated_ahead_where_the_newest_tell() {
    let installation = installation_with_mark(0);
    let server = installation.serve(&[]);
    assert_eq!(server.sign_in(&ticket(&installation)).0, 200);
    assert_eq!(server.end(), Some(0));
    sql(&installation, "UPDATE sessions SET signed_in_at = ?1", [wall() + DAY]);
    let _server = installation.serve(&["--sweep-interval", "1s"]);
    let open = "SELECT count(*) FROM sessions WHERE ended_at IS NULL";
    assert!(
        (0..3_000)
            .any(|_| installation.json(&["clock", "show"]).is_object() && number(&installation, open) == 0)
    );
}

#[test]
fn nothing_is_swept_in_the_hour_after_a_jump() {
    let installation = installation_with_mark(0);
    ticket(&installation);
    sql(&installation, "UPDATE tickets SET issued_at = 1, expires_at = 2", []);
    sql(&installation, "UPDATE meta SET clock_jumped_at = ?1", [wall() - 3000]);
    let server = installation.serve(&["--sweep-interval", "1s"]);
    for _ in 0..2 {
        // Each maintenance round takes one row away; the sweep is its last part. The second row needs a round that began
        // after a sweep.
        sql(&installation, "UPDATE meta SET clock_ahead_since = 1", []);
        let rounds = "SELECT count(*) FROM meta WHERE clock_ahead_since IS NULL";
        assert!(
            (0..3_000)
                .any(|_| installation.json(&["clock", "show"]).is_object()
                    && number(&installation, rounds) == 1)
        );
    }
    assert_eq!(installation.json(&["ticket", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(server.end(), Some(0));
    sql(&installation, "UPDATE meta SET clock_jumped_at = ?1", [wall() - 3700]);
    let _server = installation.serve(&["--sweep-interval", "1s"]);
    assert!((0..3_000).any(|_| installation.json(&["ticket", "list"]) == json!([])));
}

#[test]
fn check_names_a_clock_that_is_off() {
    for (ahead, code) in
        [(10 * DAY, Some("clock-behind")), (-8 * HOUR, Some("clock-ahead")), (0, None), (-1800, None)]
    {
        let installation = installation_with_mark(ahead);
        let report = installation.json(&["check"]);
        let found = report["findings"].as_array().unwrap().iter();
        let clocks: Vec<_> = found.filter(|f| f["code"].as_str().unwrap().starts_with("clock-")).collect();
        assert_eq!(clocks.first().map(|f| f["code"].as_str().unwrap()), code, "{report}");
        assert!(clocks.iter().all(|finding| finding["severity"] == "warning"));
    }
}

#[test]
fn a_command_that_writes_warns_of_a_clock_that_is_off() {
    for (ahead, words) in [
        (10 * DAY, Some("over an hour behind the mark")),
        (-8 * HOUR, Some("over an hour ahead of the mark")),
        (1800, None),
        (-1800, None),
    ] {
        let installation = installation_with_mark(ahead);
        let output = installation.run(&["--json", "ticket", "issue", "--user", "alice"]);
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(read(&[], &output, 0)["ticket"].is_string());
        match words {
            Some(words) => {
                assert!(
                    said.contains(words) && said.contains("clock reset") && said.lines().count() == 1,
                    "{said}"
                );
            }
            None => assert_eq!(said, ""),
        }
        let mark = number(&installation, "SELECT clock_mark FROM meta");
        assert!((mark - wall() - ahead).abs() < 60, "no command moves the mark");
        assert_eq!(
            String::from_utf8(installation.run(&["user", "list"]).stderr).unwrap(),
            "",
            "reading writes no date"
        );
    }
}
