//! What administrators ask the real server about itself and its audit log: the status, the log, and the proof that it is whole.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a failed expectation is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use gatepass_tests::fixtures::BACKEND_SECRET;
use gatepass_tests::http::{Answer, TestRequest};
use gatepass_tests::server::TestInstallation;
use serde_json::{Value, json};

/// Adds a client with this role.
fn add_client(installation: &TestInstallation, role: &str) {
    let arguments = ["client", "add", role, "--role", role, "--scope", "x", "--secret-stdin"];
    installation.json_with(&arguments, BACKEND_SECRET);
}

/// Returns a token of the client to administer with.
fn token(address: SocketAddr, client: &str) -> String {
    let form = "grant_type=client_credentials&scope=gatepass:admin";
    let answer = TestRequest::form("/oauth2/token", form).basic(client, BACKEND_SECRET).to(address);
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.text("access_token")
}

fn ask(address: SocketAddr, token: &str, method: &str, path: &str) -> Answer {
    TestRequest::new(method, path).bearer(token).to(address)
}

/// Makes an installation with a key that is cheap to generate.
fn with_key() -> TestInstallation {
    let installation = TestInstallation::new();
    installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    installation
}

fn archives(address: SocketAddr, token: &str, body: &Value) -> Answer {
    TestRequest::json("/admin/v1/audit:archive", body).bearer(token).to(address)
}

/// Returns the names in a directory; none if there is no directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn kinds(answer: &Answer) -> Vec<String> {
    let items = answer.json()["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_status_the_log_and_its_proof_agree_with_the_commands() {
    let installation = TestInstallation::new();
    let running = installation.serve(&[]);
    let address = running.address;
    for role in ["operator", "officer", "auditor"] {
        add_client(&installation, role);
    }
    installation.json(&["user", "add", "alice"]);
    let auditor = token(address, "auditor");

    for client in ["operator", "officer", "auditor"] {
        let token = token(address, client);
        let status = ask(address, &token, "GET", "/admin/v1/status");
        assert_eq!((status.status, status.header("cache-control")), (200, Some("no-store")));
        let status = status.json();
        assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
        let expected = installation.database().map_or_else(
            || ("sqlite", installation.path().join("gatepass.db").display().to_string()),
            |database| ("postgresql", database.to_owned()),
        );
        let (engine, place) = (&status["store"]["engine"], &status["store"]["database"]);
        assert_eq!((engine, place), (&json!(expected.0), &json!(expected.1)));
        assert_eq!((&status["store"]["rollback_covered"], &status["warnings"]), (&json!(true), &json!([])));
        assert_eq!(
            (&status["store"]["last_backup"], &status["clock"]["behind"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(status["audit"]["head"].as_str().map(str::len), Some(64));
        // Any role may read the metrics, wherever it asks from.
        let elsewhere = TestRequest::new("GET", "/metrics").header("x-forwarded-for", "192.0.2.1");
        assert_eq!(elsewhere.bearer(&token).to(address).status, 200);
        let expected = if client == "auditor" { 200 } else { 403 };
        assert_eq!(ask(address, &token, "GET", "/admin/v1/audit").status, expected, "{client}");
        assert_eq!(ask(address, &token, "POST", "/admin/v1/audit:verify").status, expected, "{client}");
    }

    let listed = installation.json(&["audit", "list"]);
    let listed: Vec<&str> =
        listed.as_array().expect("rows").iter().filter_map(|row| row["kind"].as_str()).collect();
    // Pages of two, each after the one before.
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = ask(address, &auditor, "GET", &format!("/admin/v1/audit?limit=2{after}"));
        found.extend(kinds(&page));
        match page.json()["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(found, listed);

    let verdict = ask(address, &auditor, "POST", "/admin/v1/audit:verify").json();
    assert_eq!(verdict, json!({"valid": true, "rows": listed.len(), "broken": null}));
    let status = ask(address, &auditor, "GET", "/admin/v1/status").json();
    assert_eq!(status["audit"]["rows"], listed.len());
}

#[test]
fn filters_are_those_of_the_command() {
    let installation = TestInstallation::new();
    let running = installation.serve(&[]);
    let address = running.address;
    add_client(&installation, "auditor");
    let alice = installation.json(&["user", "add", "alice"]);
    let alice = alice["id"].as_str().expect("an id");
    installation.json(&["user", "disable", "alice"]);
    let auditor = token(address, "auditor");
    let forged = TestRequest::json("/auth/ticket/signin", &json!({"ticket": "x"}));
    assert_eq!(forged.to(address).status, 400);
    let of_alice: &[&str] = &["user.added", "user.disabled"];
    for (query, expected) in [
        (format!("user={alice}"), of_alice),
        (format!("user={alice}&kind=user.added"), &of_alice[..1]),
        ("kind=user.added,user.disabled".into(), of_alice),
        ("client=auditor".into(), &["client.added", "client.roles-changed"]),
        (format!("user={alice}&client=auditor"), &[]),
        (format!("user={alice}&refusal=any"), &[]),
        (format!("user={alice}&refusal=ticket-spent"), &[]),
        (format!("user={alice}&request=req_none"), &[]),
        (format!("user={alice}&since=2026-01-31T12:00:00Z"), of_alice),
        (format!("user={alice}&until=2026-01-31T12:00:00Z"), &[]),
        (format!("user={alice}&after=999999"), &[]),
    ] {
        let answer = ask(address, &auditor, "GET", &format!("/admin/v1/audit?{query}"));
        assert_eq!(
            (answer.status, kinds(&answer)),
            (200, expected.iter().map(ToString::to_string).collect()),
            "{query}"
        );
        assert_eq!(answer.json()["next"], Value::Null, "{query}");
    }
    for (query, field) in [
        ("user=alice!", "user"),
        ("kind=user.added,user.eaten", "kind"),
        ("refusal=ticket-eaten", "refusal"),
        ("since=yesterday", "since"),
        ("until=2026-02-30T00:00:00Z", "until"),
        ("after=first", "after"),
        ("limit=201", "limit"),
        ("limit=0", "limit"),
        ("request=a%20b", "request"),
    ] {
        let answer = ask(address, &auditor, "GET", &format!("/admin/v1/audit?{query}"));
        assert_eq!(
            (answer.status, answer.text("field").as_str()),
            (400, field),
            "{query}: {}",
            answer.json()
        );
    }
}

#[test]
fn the_settings_are_those_of_the_command_and_of_the_flags() {
    let installation = TestInstallation::new();
    let running = installation.serve(&["--ticket-lifetime", "61"]);
    let address = running.address;
    for (role, status) in [("operator", 403), ("officer", 200), ("auditor", 200)] {
        add_client(&installation, role);
        let answer = ask(address, &token(address, role), "GET", "/admin/v1/settings");
        assert_eq!(answer.status, status, "{role}: {}", answer.json());
        if status != 200 {
            continue;
        }
        let body = answer.json();
        let shown = body["items"].as_array().expect("items");
        let told = installation.json(&["config", "show"]);
        let told = told.as_array().expect("settings");
        assert_eq!((shown.len(), &body["next"]), (told.len(), &Value::Null));
        for (shown, told) in shown.iter().zip(told) {
            assert_eq!(shown["key"], told["key"]);
            assert!(shown == told || shown["source"] == "flag", "{shown} {told}");
        }
        let ticket = shown.iter().find(|setting| setting["key"] == "lifetimes.ticket").expect("the key");
        let expected = json!({
            "key": "lifetimes.ticket", "value": "61", "source": "flag", "line": null,
            "from": "--ticket-lifetime", "needs_restart": false,
        });
        assert_eq!(*ticket, expected);
    }
}

/// The fields of an audit row that `docs/audit.md` explains.
fn explained_fields() -> BTreeSet<String> {
    let page = include_str!("../../docs/audit.md").split("\n## ").next().unwrap_or_default();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    cells.flat_map(|cell| cell.split(", ")).map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn a_member_of_a_record_has_one_name_over_http_and_by_command() {
    let installation = TestInstallation::new();
    let running = installation.serve(&[]);
    let address = running.address;
    for role in ["operator", "officer", "auditor"] {
        add_client(&installation, role);
    }
    let alice = installation.json(&["user", "add", "alice"]);
    let alice = alice["id"].as_str().expect("an id");
    let ticket = installation.json(&["ticket", "issue", "--user", "alice"]);
    let signed_in = TestRequest::json("/auth/ticket/signin", &json!({"ticket": ticket["ticket"]}));
    assert_eq!(signed_in.to(address).status, 200);
    let members = |record: &Value| -> BTreeSet<String> {
        let record = record.get("items").unwrap_or(record);
        let record = record.get(0).unwrap_or(record);
        record.as_object().expect("a record").keys().cloned().collect()
    };
    // What only HTTP shows: the revision to send along with a change, and a session's time of sign-in as its tokens have it.
    for (role, path, command, http_alone) in [
        ("operator", format!("/admin/v1/users/{alice}"), &["user", "show", "alice"][..], &["revision"][..]),
        ("operator", format!("/admin/v1/users/{alice}/sessions"), &["session", "list"], &["auth_time"]),
        ("operator", "/admin/v1/tickets".into(), &["ticket", "list"], &[]),
        ("officer", "/admin/v1/clients/officer".into(), &["client", "show", "officer"], &["revision"]),
        ("officer", "/admin/v1/keys".into(), &["key", "list"], &[]),
        ("auditor", "/admin/v1/audit".into(), &["audit", "list"], &[]),
        ("auditor", "/admin/v1/settings".into(), &["config", "show"], &[]),
    ] {
        let over_http = members(&ask(address, &token(address, role), "GET", &path).json());
        let by_command = members(&installation.json(command));
        let only: Vec<_> = over_http.difference(&by_command).collect();
        assert_eq!(only, http_alone, "{path} and {command:?}: {over_http:?} {by_command:?}");
        if command == ["audit", "list"] {
            assert_eq!((&over_http, &by_command), (&explained_fields(), &explained_fields()));
        }
    }
}

#[test]
fn an_auditor_archives_rows_in_a_place_of_the_servers_choice() {
    let installation = with_key();
    let running = installation.serve(&[]);
    let address = running.address;
    for role in ["operator", "officer", "auditor"] {
        add_client(&installation, role);
    }
    let dir = installation.path().join("archives");
    for role in ["operator", "officer"] {
        assert_eq!(archives(address, &token(address, role), &json!({})).status, 403, "{role}");
    }
    assert_eq!(names(&dir), [""; 0]);
    let auditor = token(address, "auditor");
    for (body, expected, field) in [
        (json!({"before": "yesterday"}), (400, 40050), "before"),
        (json!({"before": 7}), (400, 40001), "before"),
        (json!({"before": "2026-01-31T12:00:00Z"}), (409, 40901), ""),
    ] {
        let refused = archives(address, &auditor, &body).json();
        let told = (refused["code"].as_u64().map(|code| (code / 100, code)), refused["field"].as_str());
        assert_eq!(
            told,
            (Some(expected), Some(field).filter(|field| !field.is_empty())),
            "{body}: {refused}"
        );
    }

    // The caller has no say about the place.
    let elsewhere = installation.path().join("elsewhere");
    let body = json!({"file": elsewhere, "path": elsewhere, "name": "../x", "before": null});
    let request = TestRequest::json("/admin/v1/audit:archive", &body).header("x-request-id", "night-7");
    let answer = request.bearer(&auditor).to(address);
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{answer:?}");
    let archive = answer.json();
    assert_eq!(names(&dir), [archive["file"].as_str().expect("a name")]);
    assert!(!elsewhere.exists());
    let file = dir.join(archive["file"].as_str().expect("a name"));
    let verdict = installation.json(&["audit", "verify", "--archive", &file.display().to_string()]);
    for member in ["rows", "first", "last", "head", "bytes", "sha256"] {
        assert_eq!(archive[member], verdict[member], "{member}");
    }
    let rows = installation.json(&["audit", "list", "--kind", "audit.archived"]);
    let row = &rows[0];
    let expected = json!({
        "by_client": "auditor", "by_user": null, "operator": null, "address": "127.0.0.1", "sent_request": "night-7",
        "reason": format!("rows 1 to {}", archive["last"]), "count": archive["rows"],
    });
    for (member, value) in expected.as_object().expect("members") {
        assert_eq!(&row[member], value, "{member}: {row}");
    }
    assert!(row["request"].as_str().is_some_and(|id| id.starts_with("req_")), "{row}");
}

#[test]
fn archives_at_once_have_each_row_once() {
    let installation = with_key();
    let elsewhere = installation.path().join("kept");
    let running = installation.serve(&["--archive-dir", &elsewhere.display().to_string()]);
    let address = running.address;
    add_client(&installation, "auditor");
    let auditor = token(address, "auditor");

    // A file is in the way of the directory: nothing is recorded, and later everything is archived.
    fs::write(&elsewhere, "").expect("written");
    assert_eq!(archives(address, &auditor, &json!({})).status, 503);
    fs::remove_file(&elsewhere).expect("removed");

    let mut done = 0;
    for _ in 0..10 {
        let answers = thread::scope(|scope| {
            let ask = || archives(address, &auditor, &json!({})).status;
            let asked = [scope.spawn(ask), scope.spawn(ask)];
            asked.map(|answer| answer.join().expect("an answer"))
        });
        assert!(
            answers.contains(&200) && answers.iter().all(|status| [200, 409].contains(status)),
            "{answers:?}"
        );
        done += answers.iter().filter(|status| **status == 200).count();
    }
    let mut spans = Vec::new();
    for name in names(&elsewhere) {
        let file = elsewhere.join(name).display().to_string();
        let verdict = installation.json(&["audit", "verify", "--archive", &file]);
        spans.push((verdict["first"].as_u64().expect("a row"), verdict["last"].as_u64().expect("a row")));
    }
    spans.sort_unstable();
    assert_eq!(spans.len(), done);
    assert!(spans.windows(2).all(|pair| pair[1].0 == pair[0].1 + 1), "{spans:?}");
    let rows = installation.json(&["audit", "list", "--kind", "audit.archived"]);
    assert_eq!(rows.as_array().map(Vec::len), Some(done));
    assert_eq!(installation.json(&["audit", "verify"])["valid"], json!(true));
    assert_eq!(installation.json(&["check"])["ok"], json!(true));
}
