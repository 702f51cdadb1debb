//! Clients that end, and restricted sessions, by the real binary: what was issued ends with the command.

use serde_json::{Value, json};

use crate::site::{Server, Site};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// An issuer and a portal, with what each of them was given.
struct Issued {
    issuer: String,
    ticket: Value,
    access: String,
    refresh: String,
}

fn secret(site: &Site, id: &str, scope: &str) -> String {
    let added = site.json(&["client", "add", id, "--scope", scope]);
    added["client_secret"].as_str().unwrap().to_owned()
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("no {member} in {body}")).to_owned()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn issued(site: &Site, server: &Server) -> Issued {
    let [secret, _] = [("issuer", "ticket:issue profile email"), ("portal", "a")]
        .map(|(id, scope)| secret(site, id, scope));
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
        let site = Site::with_key();
        let server = site.serve(&[]);
        site.json(&["user", "add", "alice"]);
        let issued = issued(&site, &server);
        assert_eq!(server.ask("GET", "/userinfo", &bearer(&issued.access), "").0, 200);
        commands.iter().for_each(|command| drop(site.json(command)));
        assert_eq!(server.ask("GET", "/userinfo", &bearer(&issued.access), "").0, 401, "{commands:?}");
        assert_eq!(refresh(&server, &issued.refresh), 400, "{commands:?}");
        assert_eq!(server.sign_in(&issued.ticket).0, 400, "{commands:?}");
        let said = site.no(&["token", "verify", &issued.access]);
        assert_eq!(said, json!({"valid": false, "reason": "client inactive"}), "{commands:?}");
        let service = server.ask("GET", "/userinfo", &bearer(&issued.issuer), "").0;
        assert_eq!(service, if whose == "issuer" { 401 } else { 200 }, "{commands:?}");
    }
}

#[test]
fn the_command_says_what_ends_and_the_record_tells_the_epoch() {
    let site = Site::with_key();
    secret(&site, "svc", "a b");
    let epoch = || site.json(&["client", "show", "svc"])["epoch"].as_u64().unwrap();
    let first = epoch();
    assert!(first > 0 && first <= 1 << 52, "{first}");
    let said = |arguments: &[&str]| String::from_utf8(site.run(arguments).stdout).unwrap();
    assert!(said(&["client", "set", "svc", "--scope", "a"]).contains("narrower than before"));
    assert!(!said(&["client", "set", "svc", "--scope", "a c"]).contains("narrower than before"));
    assert!(said(&["client", "disable", "svc"]).contains("Ended with it"));
    assert!(!said(&["client", "enable", "svc"]).contains("Ended with it"));
    assert_eq!(epoch(), first + 1);
    assert!(said(&["client", "delete", "svc"]).contains("Ended with it"));
    secret(&site, "svc", "a");
    assert!(![first, first + 1].contains(&epoch()), "another registration has another epoch");
}

#[test]
fn a_restricted_token_is_no_token_to_the_command_line() {
    let site = Site::with_key();
    let server = site.serve(&[]);
    site.json(&["user", "add", "kim"]);
    let set = site.run_with(&["--json", "user", "set-password", "kim"], "changed at once");
    assert_eq!(set.status.code(), Some(0), "{}", String::from_utf8_lossy(&set.stderr));
    site.json(&["user", "require-password-change", "kim"]);
    let body = json!({"identity": "kim", "password": "changed at once"}).to_string();
    let (status, told) = server.ask("POST", "/auth/login", JSON, &body);
    assert_eq!(
        (status, &told["must_change_password"], told.get("user")),
        (200, &json!(true), None),
        "{told}"
    );
    let token = text(&told, "access_token");
    assert_eq!(server.ask("GET", "/userinfo", &bearer(&token), "").0, 401);
    let said = site.no(&["token", "verify", &token]);
    assert!(said["reason"].as_str().unwrap().contains("restricted+jwt"), "{said}");
}
