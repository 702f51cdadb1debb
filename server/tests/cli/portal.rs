//! A portal that states whom it asks for: limits and tickets see the person, and not the portal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::installation::{Server, TestInstallation};

const PASSWORD: &str = "a password of alice";
const IMPORTED: &str = "a secret of thirty-two characters";
/// The limit of failures here.
const LIMIT: usize = 5;

/// A server with two portals in front: the secret of `portal` was made, that of `former` was chosen.
struct Portal {
    installation: TestInstallation,
    server: Server,
    secret: String,
}

impl Portal {
    fn new(limits: &[&str]) -> Self {
        let installation = TestInstallation::with_key();
        installation.run_with(&["user", "add", "alice", "--password-stdin"], PASSWORD);
        let trusted = ["--scope", "a", "--trusted-context", "true"];
        let portal = installation.json(&[&["client", "add", "portal"], &trusted[..]].concat());
        let former = [&["client", "add", "former", "--secret-stdin"], &trusted[..]].concat();
        installation.run_with(&former, IMPORTED);
        let secret = portal["client_secret"].as_str().unwrap().to_owned();
        let server = installation.serve(&[&["--failures-per-minute", "5"], limits].concat());
        Self { installation, server, secret }
    }

    fn ask(&self, path: &str, (client, secret): (&str, &str), body: &Value) -> (u16, Value) {
        let basic = STANDARD.encode(format!("{client}:{secret}"));
        let headers = format!("Content-Type: application/json\r\nAuthorization: Basic {basic}\r\n");
        self.server.ask("POST", path, &headers, &body.to_string())
    }

    /// Logs somebody in who is at `address`.
    fn log_in(&self, who: &str, password: &str, address: &str) -> u16 {
        let body = json!({"identity": who, "password": password, "client_ip": address});
        self.ask("/auth/login", ("portal", &self.secret), &body).0
    }

    /// Presents a ticket for somebody who is at `address`.
    fn redeem(&self, ticket: &Value, address: &str) -> u16 {
        let body = json!({"ticket": ticket, "client_ip": address});
        self.ask("/auth/ticket/signin", ("portal", &self.secret), &body).0
    }
}

#[test]
fn one_person_at_a_portal_shuts_out_nobody_else() {
    // On a box with the server, where the portal itself is exempt, and on another one.
    for limits in [&[][..], &["--exempt-loopback", "false"]] {
        let portal = Portal::new(limits);
        let junk = json!(format!("tkt_{}", "A".repeat(43)));
        for (guesser, neighbour) in
            [("198.51.100.66", "198.51.100.67"), ("2001:db8:0:66::1", "2001:db8:0:67::1")]
        {
            for _ in 0..100 {
                assert_eq!(portal.redeem(&junk, guesser), 400);
            }
            for n in 0..LIMIT {
                assert_eq!(portal.log_in(&format!("name {n}"), "not the password", guesser), 400);
            }
            assert_eq!(portal.log_in("nobody", "not the password", guesser), 429);
            assert_eq!(portal.log_in("alice", PASSWORD, guesser), 429);
            assert_eq!(portal.log_in("alice", PASSWORD, neighbour), 200);
            // What nobody can guess is good from everywhere.
            let ticket = portal.installation.json(&["ticket", "issue", "--user", "alice"]);
            assert_eq!(portal.redeem(&ticket["ticket"], guesser), 200);
        }
        // The portal itself has guessed nothing.
        let own = json!({"identity": "alice", "password": PASSWORD});
        assert_eq!(portal.ask("/auth/login", ("portal", &portal.secret), &own).0, 200);
    }
}

/// A wrong secret of a portal counts for the sender of the request, whomever they name.
#[test]
fn a_wrong_secret_counts_for_whoever_sends_it() {
    let portal = Portal::new(&["--exempt-loopback", "false"]);
    let guess = |n: usize, secret: &str| {
        let body = json!({
            "identity": "alice", "password": PASSWORD, "client_ip": format!("198.51.100.{n}"),
        });
        portal.ask("/auth/login", ("former", secret), &body).0
    };
    for n in 0..LIMIT {
        assert_eq!(guess(n, "not the secret of this former portal"), 401);
    }
    assert_eq!((guess(8, "not the secret of this former portal"), guess(9, IMPORTED)), (429, 429));
    // A secret that was made here cannot be guessed, and goes on.
    assert_eq!(portal.log_in("alice", PASSWORD, "198.51.100.1"), 200);
}

#[test]
fn a_ticket_for_an_address_is_held_against_the_person() {
    let portal = Portal::new(&[]);
    let issue = || {
        let issue = ["ticket", "issue", "--user", "alice", "--client-ip", "198.51.100.7"];
        portal.installation.json(&issue)["ticket"].clone()
    };
    assert_eq!(portal.redeem(&issue(), "198.51.100.7"), 200);
    let ticket = issue();
    assert_eq!(portal.redeem(&ticket, "198.51.100.8"), 400);
    assert_eq!(portal.redeem(&ticket, "198.51.100.7"), 400, "spent");
    let rows = portal.installation.json(&["audit", "list"]);
    let refused = rows.as_array().unwrap().iter().find(|row| row["refusal"] == "address-mismatch").unwrap();
    assert_eq!(
        (&refused["address"], &refused["stated_by"], &refused["peer"]),
        (&json!("198.51.100.8"), &json!("portal"), &json!("127.0.0.1"))
    );
}
