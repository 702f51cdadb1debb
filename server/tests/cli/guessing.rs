//! The limit of guesses: which answers count, what is refused then, and who is not.

use serde_json::{Value, json};

use super::installation::{Server, TestInstallation};

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
/// The limit of failures here.
const LIMIT: usize = 5;
const LIMITED: [&str; 4] = ["--exempt-loopback", "false", "--failures-per-minute", "5"];

/// An installation with alice, who has a password, and two clients: the secret of `imported` was chosen, that of `svc` was made.
struct Door {
    installation: TestInstallation,
    secret: String,
}

const PASSWORD: &str = "a password of alice";
const IMPORTED: &str = "a secret of thirty-two characters";

impl Door {
    fn new() -> Self {
        let installation = TestInstallation::with_key();
        installation.run_with(&["user", "add", "alice", "--password-stdin"], PASSWORD);
        installation.run_with(&["client", "add", "imported", "--scope", "a", "--secret-stdin"], IMPORTED);
        let svc = installation.json(&["client", "add", "svc", "--scope", "a"]);
        let secret = svc["client_secret"].as_str().unwrap().to_owned();
        Self { installation, secret }
    }
}

fn token_request(client: &str, secret: &str) -> String {
    format!(
        "grant_type=client_credentials&scope=a&client_id={client}&client_secret={}",
        secret.replace(' ', "+")
    )
}

fn login(server: &Server, identity: &str, password: &str) -> (u16, Value) {
    let body = json!({ "identity": identity, "password": password }).to_string();
    server.ask("POST", "/auth/login", JSON, &body)
}

fn service(server: &Server, client: &str, secret: &str) -> (u16, Value) {
    server.ask("POST", "/oauth2/token", FORM, &token_request(client, secret))
}

/// Whatever has 256 bits is no guess, however often it comes: not a page with `<img src=…/auth/me/sessions>`, not a morning of stale
/// tokens, not a portal's junk.
#[test]
fn what_cannot_be_guessed_never_counts() {
    let door = Door::new();
    let server = door.installation.serve(&LIMITED);
    let stale = format!("{JSON}Authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n");
    let made = format!("gps_{}", "x".repeat(43));
    let basic = format!("Authorization: Basic c3ZjOmdwc18{}\r\n", "eHh4".repeat(14) + "eA==");
    let (token, unknown) = (token_request("svc", &made), token_request("nobody", &made));
    let junk = json!({ "ticket": format!("tkt_{}", "A".repeat(43)) }).to_string();
    let challenge =
        json!({ "challenge_token": format!("chg_{}", "A".repeat(43)), "code": "000000" }).to_string();
    let refresh = json!({ "refresh_token": format!("rft_{}", "A".repeat(43)) }).to_string();
    for (times, expected, request) in [
        (1_000, 401, ["GET", "/auth/me/sessions", "", ""]),
        (1_000, 400, ["POST", "/auth/ticket/signin", JSON, &junk]),
        (30, 401, ["GET", "/auth/me/sessions", &stale, ""]),
        (30, 401, ["GET", "/userinfo", &stale, ""]),
        (30, 401, ["POST", "/auth/generate-ticket", &stale, "{}"]),
        (30, 401, ["PUT", "/auth/me/password", &stale, r#"{"old_password":"a","new_password":"b"}"#]),
        (30, 401, ["POST", "/mfa/totp/verify", &stale, r#"{"code":"000000"}"#]),
        (30, 400, ["POST", "/auth/ticket/signin", JSON, r#"{"ticket":"tkt_x"}"#]),
        (30, 400, ["POST", "/auth/ticket/signin", JSON, "{"]),
        (30, 400, ["POST", "/auth/mfa/verify-challenge", JSON, &challenge]),
        (30, 400, ["POST", "/auth/refresh", JSON, &refresh]),
        (30, 400, ["POST", "/auth/login", JSON, "{}"]),
        (30, 401, ["POST", "/oauth2/token", FORM, &token]),
        (30, 401, ["POST", "/oauth2/token", FORM, &unknown]),
        (30, 401, ["POST", "/oauth2/introspect", &format!("{FORM}{basic}"), "token=x"]),
        (30, 401, ["POST", "/oauth2/token", FORM, "grant_type=client_credentials&scope=a"]),
        (30, 404, ["GET", "/auth/nothing", "", ""]),
        (30, 405, ["GET", "/auth/login", "", ""]),
    ] {
        let [method, path, headers, body] = request;
        for _ in 0..times {
            let (status, answer) = server.ask(method, path, headers, body);
            assert_eq!(status, expected, "{method} {path}: {answer}");
        }
    }
    assert_eq!(login(&server, "alice", PASSWORD).0, 200);
    assert_eq!(service(&server, "imported", IMPORTED).0, 200);
}

#[test]
fn wrong_passwords_and_chosen_secrets_count_and_nothing_else_is_limited() {
    let door = Door::new();
    for guess in ["alice", "nobody", "imported"] {
        let server = door.installation.serve(&LIMITED);
        let wrong = || match guess {
            "imported" => service(&server, "imported", "not the secret of imported, at all"),
            name => login(&server, name, "not the password"),
        };
        for n in 0..LIMIT {
            assert!(matches!(wrong().0, 400 | 401), "{guess} {n}");
        }
        let (status, answer) = wrong();
        assert_eq!(status, 429, "{guess}");
        match guess {
            "imported" => assert_eq!(answer["error"], "temporarily_unavailable"),
            _ => assert_eq!(answer["code"], 42900),
        }
        assert_eq!(login(&server, "alice", PASSWORD).0, 429, "a right password may be a right guess");
        assert_eq!(service(&server, "imported", IMPORTED).0, 429);
        // What nobody can guess is checked first.
        assert_eq!(service(&server, "svc", &door.secret).0, 200);
        let ticket = door.installation.json(&["ticket", "issue", "--user", "alice"]);
        let (status, session) = server.sign_in(&ticket["ticket"]);
        assert_eq!(status, 200);
        let token = session["access_token"].as_str().unwrap();
        assert_eq!(
            server.ask("GET", "/auth/me/sessions", &format!("Authorization: Bearer {token}\r\n"), "").0,
            200
        );
        let refresh = json!({ "refresh_token": session["refresh_token"] }).to_string();
        assert_eq!(server.ask("POST", "/auth/refresh", JSON, &refresh).0, 200);
        let challenge = json!({ "challenge_token": format!("chg_{}", "A".repeat(43)), "code": "000000" });
        assert_eq!(server.ask("POST", "/auth/mfa/verify-challenge", JSON, &challenge.to_string()).0, 400);
        assert_eq!(server.ask("GET", "/auth/nothing", "", "").0, 404);
        door.installation.json(&["user", "unlock", "alice"]);
    }
}

#[test]
fn guesses_at_once_do_not_exceed_the_limit() {
    let door = Door::new();
    let server = door.installation.serve(&[&LIMITED[..], &["--workers", "1"]].concat());
    let wrong = token_request("imported", "not the secret of imported, at all");
    let answers = server.ask_together(40, ["POST", "/oauth2/token", FORM, &wrong]);
    let count = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    assert_eq!((count(401), count(429)), (LIMIT, 40 - LIMIT));
}

#[test]
fn whose_guesses_are_not_limited() {
    let door = Door::new();
    for (options, forwarded, limited) in [
        (&["--failures-per-minute", "5"][..], "", false),
        (
            &["--failures-per-minute", "5", "--trusted-proxies", "127.0.0.1"],
            "X-Forwarded-For: 192.0.2.1\r\n",
            true,
        ),
        (&["--failures-per-minute", "0", "--exempt-loopback", "false"], "", false),
        (&LIMITED, "", true),
        (&LIMITED, "X-Forwarded-For: 192.0.2.1\r\n", true),
    ] {
        let server = door.installation.serve(options);
        let wrong = token_request("imported", "not the secret of imported, at all");
        let headers = format!("{FORM}{forwarded}");
        let statuses: Vec<u16> =
            (0..=LIMIT).map(|_| server.ask("POST", "/oauth2/token", &headers, &wrong).0).collect();
        let last = if limited { 429 } else { 401 };
        assert_eq!(statuses, [&[401; LIMIT][..], &[last]].concat(), "{options:?} {forwarded}");
    }
}

#[test]
fn a_trusted_proxy_names_the_client_address() {
    let door = Door::new();
    let server = door.installation.serve(&["--trusted-proxies", "127.0.0.1", "--failures-per-minute", "1"]);
    let wrong = token_request("imported", "not the secret of imported, at all");
    let guess = |from: &str| {
        server.ask("POST", "/oauth2/token", &format!("{FORM}X-Forwarded-For: {from}\r\n"), &wrong).0
    };
    assert_eq!(guess("192.0.2.1"), 401);
    assert_eq!(guess("192.0.2.1"), 429);
    assert_eq!(guess("192.0.2.2"), 401);
    assert_eq!(guess("192.0.2.3, 192.0.2.1"), 429, "what stands further left is not believed");
}

/// Where the clients of a proxy are not known, the proxy's own exemption would hold for all of them.
#[test]
fn a_proxy_that_does_not_name_its_clients_is_limited_itself() {
    for (trusted, header, told) in [
        ("127.0.0.1", "", "sends no X-Forwarded-For"),
        ("127.0.0.1", "X-Forwarded-For: \r\n", "sends no X-Forwarded-For"),
        ("127.0.0.1", "X-Forwarded-For: unknown\r\n", "names its client `unknown`"),
        ("127.0.0.1", "X-Forwarded-For: 192.0.2.1, unix:\r\n", "names its client `unix:`"),
        ("127.0.0.1", "X-Forwarded-For: 192.0.2.1x\r\n", "something that is no address"),
        ("192.0.2.9", "X-Forwarded-For: 192.0.2.1\r\n", "is no trusted proxy"),
    ] {
        let installation = TestInstallation::with_key();
        let log = installation.path().join("log");
        let options = ["--trusted-proxies", trusted, "--failures-per-minute", "2"];
        let server = installation.serve_to(&options, std::fs::File::create(&log).unwrap().into());
        let guess = || {
            let headers = format!("Content-Type: application/json\r\n{header}");
            server.ask("POST", "/auth/login", &headers, r#"{"identity":"nobody","password":"a guess"}"#).0
        };
        assert_eq!([guess(), guess(), guess()], [400, 400, 429], "{header}");
        assert_eq!(server.end(), Some(0));
        let said = std::fs::read_to_string(&log).unwrap();
        assert_eq!(said.matches(told).count(), 1, "{header}: {said}");
    }
}

#[test]
fn refusals_without_a_row_of_their_own_are_counted() {
    let door = Door::new();
    let server = door.installation.serve(&[]);
    let junk = json!(format!("tkt_{}", "A".repeat(43)));
    for _ in 0..LIMIT {
        assert_eq!(server.sign_in(&junk).0, 400);
    }
    assert_eq!(server.end(), Some(0));
    let rows = door.installation.json(&["audit", "list"]);
    let counted: u64 = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["refusal"] == "ticket-unknown" && row["address"] == "127.0.0.1")
        .map(|row| row["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 5, "written down at the end: {rows}");
}
