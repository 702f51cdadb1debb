//! Clients that are disabled or deleted, and restricted sessions, by the real binary: what was issued ends with the
//! command.

use serde_json::{Value, json};

use crate::installation::{Server, TestInstallation};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// An issuer and a portal, with the credentials that each was given.
struct Issued {
    issuer: String,
    ticket: Value,
    access: String,
    refresh: String,
}

fn secret(installation: &TestInstallation, id: &str, scope: &str) -> String {
    let added = installation.json(&["client", "add", id, "--scope", scope]);
    added["client_secret"].as_str().unwrap().to_owned()
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("no {member} in {body}")).to_owned()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn issued(installation: &TestInstallation, server: &Server) -> Issued {
    let [secret, _] = [("issuer", "ticket:issue profile email"), ("portal", "a")]
        .map(|(id, scope)| secret(installation, id, scope));
    let form = format!(
        "grant_type=client_credentials&client_id=issuer&client_secret={secret}&scope=ticket:issue+email"
    );
    let issuer = text(&server.ask("POST", "/oauth2/token", FORM, &form).1, "access_token");
    let headers = format!("{JSON}{}", bearer(&issuer));
    let body = json!({"user_id": "alice", "audience": "portal", "scope": "profile email"}).to_string();
    let ticket = || server.ask("POST", "/auth/generate-ticket", &headers, &body).1["ticket"].clone();
    let session = server.sign_in(&ticket()).1;
    let (access, refresh) = (text(&session, "access_token"), text(&session, "refresh_token"));
    Issued { ticket: ticket(), issuer, access, refresh }
}

fn refresh(server: &Server, token: &str) -> u16 {
    server.ask("POST", "/auth/refresh", JSON, &json!({ "refresh_token": token }).to_string()).0
}

#[test]
fn what_a_client_was_given_ends_with_it() {
    let ends: [(&str, &[&[&str]]); 4] = [
        ("issuer", &[&["client", "disable", "issuer"], &["client", "enable", "issuer"]]),
        (
            "issuer",
            &[&["client", "delete", "issuer"], &["client", "add", "issuer", "--scope", "ticket:issue email"]],
        ),
        ("portal", &[&["client", "disable", "portal"], &["client", "enable", "portal"]]),
        ("portal", &[&["client", "delete", "portal"], &["client", "add", "portal", "--scope", "a"]]),
    ];
    for (whose, commands) in ends {
        let installation = TestInstallation::with_key();
        let server = installation.serve(&[]);
        installation.json(&["user", "add", "alice"]);
        let issued = issued(&installation, &server);
        assert_eq!(server.ask("GET", "/userinfo", &bearer(&issued.access), "").0, 200);
        commands.iter().for_each(|command| drop(installation.json(command)));
        assert_eq!(server.ask("GET", "/userinfo", &bearer(&issued.access), "").0, 401, "{commands:?}");
        assert_eq!(refresh(&server, &issued.refresh), 400, "{commands:?}");
        assert_eq!(server.sign_in(&issued.ticket).0, 400, "{commands:?}");
        let said = installation.no(&["token", "verify", &issued.access]);
        assert_eq!(said, json!({"valid": false, "reason": "client inactive"}), "{commands:?}");
        let service = server.ask("GET", "/userinfo", &bearer(&issued.issuer), "").0;
        assert_eq!(service, if whose == "issuer" { 401 } else { 200 }, "{commands:?}");
    }
}

#[test]
fn the_command_prints_what_ends_and_the_audit_has_the_epoch() {
    let installation = TestInstallation::with_key();
    secret(&installation, "svc", "a b");
    let epoch = || installation.json(&["client", "show", "svc"])["epoch"].as_u64().unwrap();
    let first = epoch();
    assert!(first > 0 && first <= 1 << 52, "{first}");
    let said = |arguments: &[&str]| String::from_utf8(installation.run(arguments).stdout).unwrap();
    assert!(said(&["client", "set", "svc", "--scope", "a"]).contains("narrower than before"));
    assert!(!said(&["client", "set", "svc", "--scope", "a c"]).contains("narrower than before"));
    assert!(said(&["client", "disable", "svc"]).contains("Ended with it"));
    assert!(!said(&["client", "enable", "svc"]).contains("Ended with it"));
    assert_eq!(epoch(), first + 1);
    assert!(said(&["client", "delete", "svc"]).contains("Ended with it"));
    secret(&installation, "svc", "a");
    assert!(![first, first + 1].contains(&epoch()), "another registration has another epoch");
}

#[test]
fn a_restricted_token_is_no_token_to_the_command_line() {
    let installation = TestInstallation::with_key();
    let server = installation.serve(&[]);
    installation.json(&["user", "add", "kim"]);
    let set = installation.run_with(&["--json", "user", "set-password", "kim"], "changed at once");
    assert_eq!(set.status.code(), Some(0), "{}", String::from_utf8_lossy(&set.stderr));
    installation.json(&["user", "require-password-change", "kim"]);
    let body = json!({"identity": "kim", "password": "changed at once"}).to_string();
    let (status, told) = server.ask("POST", "/auth/login", JSON, &body);
    assert_eq!(
        (status, &told["must_change_password"], told.get("user")),
        (200, &json!(true), None),
        "{told}"
    );
    let token = text(&told, "access_token");
    assert_eq!(server.ask("GET", "/userinfo", &bearer(&token), "").0, 401);
    let said = installation.no(&["token", "verify", &token]);
    assert!(said["reason"].as_str().unwrap().contains("restricted+jwt"), "{said}");
}

#[test]
fn sessions_are_listed_and_ended() {
    let installation = TestInstallation::with_key();
    let server = installation.serve(&[]);
    let sign_in = |user: &str| {
        let issued = installation.json(&["ticket", "issue", "--user", user]);
        let session = server.sign_in(&issued["ticket"]).1;
        (text(&session, "access_token"), text(&session, "refresh_token"))
    };
    ["alice", "bob"].iter().for_each(|user| drop(installation.json(&["user", "add", user])));
    let ((first, refreshes), (second, _), (others, _)) = (sign_in("alice"), sign_in("alice"), sign_in("bob"));
    let list = |arguments: &[&str]| {
        let listed = installation.json(&[&["session", "list"], arguments].concat());
        let facts =
            |session: &Value| [session["user_id"].clone(), session["state"].clone(), session["id"].clone()];
        listed.as_array().unwrap().iter().map(facts).collect::<Vec<_>>()
    };
    let (everybody, alice) = (list(&[]), list(&["--user", "alice"]));
    assert_eq!((everybody.len(), alice.len()), (3, 2));
    assert_eq!((&everybody[1..], &everybody[0][1]), (&alice[..], &json!("live")), "the newest first");

    let id = alice[1][2].as_str().unwrap();
    let ended = installation.json(&["session", "end", id]);
    assert_eq!((&ended["id"], &ended["state"]), (&json!(id), &json!("ended")));
    assert_eq!(server.ask("GET", "/userinfo", &bearer(&first), "").0, 401);
    assert_eq!(
        (refresh(&server, &refreshes), server.ask("GET", "/userinfo", &bearer(&second), "").0),
        (400, 200)
    );
    let (code, said) = installation.refused(&["session", "end", id]);
    assert!(code == 1 && said.contains("already ended"), "{said}");
    assert_eq!((list(&["--user", "alice"]).len(), list(&["--user", "alice", "--all"]).len()), (1, 2));

    let ended = installation.json(&["session", "end", "--user", "alice"]);
    assert_eq!((&ended["username"], &ended["sessions_ended"]), (&json!("alice"), &json!(true)));
    assert_eq!(server.ask("GET", "/userinfo", &bearer(&second), "").0, 401);
    assert_eq!(server.ask("GET", "/userinfo", &bearer(&others), "").0, 200);
    assert!(list(&["--user", "alice", "--all"]).iter().all(|facts| facts[1] == "ended"));
    let audit = installation.json(&["audit", "list"]).to_string();
    assert!(audit.contains("session.ended") && audit.contains("user.sessions-ended"), "{audit}");

    for (arguments, code, why) in [
        (&["end", "nothing"][..], 1, "gatepass session list"),
        (&["end", "--user", "nobody"], 1, "gatepass user list"),
        (&["end", "a b"], 2, "1 to 64"),
        (&["list", "--user", "nobody"], 1, "gatepass user list"),
    ] {
        let (exit, said) = installation.refused(&[&["session"], arguments].concat());
        assert!(exit == code && said.contains(why), "{arguments:?}: {said}");
    }
    for misused in [&["end"][..], &["end", id, "--user", "alice"]] {
        assert_eq!(installation.run(&[&["session"], misused].concat()).status.code(), Some(2), "{misused:?}");
    }
}
