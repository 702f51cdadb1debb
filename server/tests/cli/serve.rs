//! `serve`, and commands while it runs.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::installation::{TestInstallation, read, told};

#[test]
fn the_configuration_is_read_from_the_nearest_place_and_refused_by_name() {
    let installation = TestInstallation::with_key();
    let file = installation.path().join("gatepass.toml");
    std::fs::write(&file, "lisen = \"127.0.0.1:1\"").unwrap();
    let (code, said) = installation.refused(&["serve"]);
    assert!(code == 2 && said.contains("gatepass.toml") && said.contains("did you mean `listen`?"), "{said}");
    std::fs::write(&file, "issuer = \"http://file.example\"\nticket_lifetime = 77").unwrap();
    assert_eq!(installation.serve(&[]).ready["issuer"], "http://file.example");
    assert_eq!(
        installation.serve(&["--issuer", "http://flag.example"]).ready["issuer"],
        "http://flag.example"
    );
    installation.json(&["user", "add", "alice"]);
    assert_eq!(installation.json(&["ticket", "issue", "--user", "alice"])["expires_in"], 77);
    let output = installation
        .command(&["--json", "ticket", "issue", "--user", "alice"])
        .env("GATEPASS_TICKET_LIFETIME", "88s")
        .output()
        .unwrap();
    assert_eq!(read(&[], &output, 0)["expires_in"], 88);
    let (code, said) =
        told(&installation.command(&["user", "list"]).env("GATEPASS_WORKERS", "many").output().unwrap());
    assert!(code == 2 && said.contains("GATEPASS_WORKERS"), "{said}");
}

#[test]
fn keys_of_the_file_stand_in_sections() {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "alice"]);
    let expires_in = |file: &str| {
        std::fs::write(installation.path().join("gatepass.toml"), file).unwrap();
        installation.json(&["ticket", "issue", "--user", "alice"])["expires_in"].clone()
    };
    assert_eq!(expires_in("[lifetimes]\nticket = 66"), 66);
    assert_eq!(expires_in("ticket_lifetime = 77"), 77, "flat keys are read until 1.0");
    std::fs::write(installation.path().join("gatepass.toml"), "[lifetimes]\nticked = 66").unwrap();
    let (code, said) = installation.refused(&["serve"]);
    assert!(code == 2 && said.contains("[lifetimes]") && said.contains("did you mean `ticket`?"), "{said}");
}

#[test]
fn a_server_warns_of_flat_keys() {
    let installation = TestInstallation::with_key();
    let (file, log) = (installation.path().join("gatepass.toml"), installation.path().join("log"));
    for (text, warned) in [("risk_high = 70", true), ("[risk]\nhigh = 70", false)] {
        std::fs::write(&file, text).unwrap();
        let server = installation.serve_to(&[], std::fs::File::create(&log).unwrap().into());
        assert_eq!(server.end(), Some(0));
        let said = std::fs::read_to_string(&log).unwrap();
        assert_eq!(said.contains("risk_high is high in [risk]"), warned, "{said}");
    }
}

#[test]
fn the_first_start_makes_everything_and_later_ones_nothing() {
    let installation = TestInstallation::new();
    let server = installation.serve(&[]);
    let admin = server.ready["admin"].clone();
    let file = installation.path().join("admin.secret");
    assert_eq!(admin, json!({"client_id": "admin", "secret_file": file}));
    assert_eq!(server.ask("GET", "/readyz", "", "").0, 200);
    let listening = server.ready["listening"].as_str().unwrap();
    assert!(!listening.ends_with(":0"), "{listening}");
    assert_eq!(server.ready["issuer"], format!("http://{listening}"));
    let (code, said) = installation.refused(&["serve", "--listen", listening]);
    assert!(code == 1 && said.contains("in use") && said.contains("--listen"), "{said}");
    let keys = installation.json(&["key", "list"]);
    assert_eq!((&keys[0]["alg"], &keys[0]["state"]), (&json!("RS256"), &json!("signing")));
    assert_eq!(server.end(), Some(0));

    installation.json(&["client", "add", "other"]);
    installation.json(&["client", "delete", "admin"]);
    assert!(!file.exists(), "it goes with the client");
    let again = installation.serve(&[]);
    assert_eq!(again.ready["admin"], Value::Null, "what was deleted stays so");
    assert_eq!(installation.json(&["key", "list"]), keys);
    assert_eq!(again.end(), Some(0));
}

#[test]
fn the_demo_works_as_printed_at_each_start() {
    let installation = TestInstallation::with_key();
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let server = installation.serve(&["--demo"]);
        let demo = server.ready["demo"].clone();
        let headers = "Content-Type: application/json\r\nUser-Agent: curl/8.0\r\n";
        let ticket = json!({"ticket": demo["ticket"]}).to_string();
        let (status, session) = server.ask("POST", "/auth/ticket/signin", headers, &ticket);
        assert_eq!((status, &session["risk_level"]), (200, &json!("low")), "{session}");
        assert_eq!(server.sign_in(&demo["ticket"]).0, 400);
        let curl = demo["curl"].as_array().unwrap();
        assert_eq!(curl.len(), 3);
        let bearer = curl[2].as_str().unwrap().split('\'').nth(1).unwrap();
        let (status, seen) = server.ask("GET", "/userinfo", &format!("{bearer}\r\n"), "");
        assert_eq!((status, &seen["userName"]), (200, &json!("demo")));
        let form = format!(
            "grant_type=client_credentials&scope=demo:read&client_id=demo&client_secret={}",
            demo["client_secret"].as_str().unwrap()
        );
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        assert_eq!(server.ask("POST", "/oauth2/token", headers, &form).0, 200);
        secrets.push(demo["client_secret"].clone());
        assert_eq!(server.end(), Some(0));
    }
    assert_ne!(secrets[0], secrets[1]);
    assert_eq!(installation.json(&["user", "list"]).as_array().unwrap().len(), 1, "reused");
}

#[test]
fn a_token_is_verified_here_and_now() {
    let installation = TestInstallation::with_key();
    let server = installation.serve(&[]);
    installation.json(&["user", "add", "alice"]);
    let ticket = installation.json(&["ticket", "issue", "--user", "alice"])["ticket"].clone();
    let (status, session) = server.sign_in(&ticket);
    assert_eq!(status, 200);
    let token = session["access_token"].as_str().unwrap();
    let valid = installation.json(&["token", "verify", token]);
    assert_eq!((&valid["valid"], &valid["sub"]), (&json!(true), &session["user_id"]));
    let by_stdin = installation.run_with(&["--json", "token", "verify", "-"], &format!("{token}\n"));
    assert_eq!(read(&[], &by_stdin, 0), valid);
    let other = installation.no(&["token", "verify", token, "--issuer", "http://other.example"]);
    assert_eq!(other["valid"], false);
    assert!(other["reason"].as_str().unwrap().contains("another server"), "{other}");
    for bad in ["", "x", "a.b.c", &token[..token.len() - 2], session["refresh_token"].as_str().unwrap()] {
        assert_eq!(installation.no(&["token", "verify", bad])["valid"], false, "{bad}");
    }
    installation.json(&["user", "disable", "alice"]);
    assert_eq!(installation.no(&["token", "verify", token])["valid"], false);
    assert_eq!(server.ask("GET", "/userinfo", &format!("Authorization: Bearer {token}\r\n"), "").0, 401);
}

#[test]
fn nothing_issued_in_another_state_epoch_is_good() {
    let installation = TestInstallation::with_key();
    let server = installation.serve(&[]);
    installation.json(&["user", "add", "alice"]);
    let added = installation.json(&["client", "add", "svc", "--scope", "a", "--default-scope", "a"]);
    let secret = added["client_secret"].as_str().unwrap();
    let issue = || installation.json(&["ticket", "issue", "--user", "alice"])["ticket"].clone();
    let set = |epoch: i64| {
        let file = rusqlite::Connection::open(installation.path().join(gatepass::store::DATABASE)).unwrap();
        file.execute("UPDATE meta SET state_epoch = ?1", [epoch]).unwrap();
    };
    let form = format!("grant_type=client_credentials&client_id=svc&client_secret={secret}");
    let service = || {
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        server.ask("POST", "/oauth2/token", headers, &form).1["access_token"].as_str().unwrap().to_owned()
    };
    let person = || server.sign_in(&issue()).1["access_token"].as_str().unwrap().to_owned();
    let (tokens, ticket) = ([service(), person()], issue());
    for token in &tokens {
        let valid = installation.json(&["token", "verify", token]);
        assert_eq!((&valid["valid"], valid.get("state_epoch")), (&json!(true), None));
    }
    set(7);
    for token in &tokens {
        let expected = json!({"valid": false, "reason": "state superseded"});
        assert_eq!(installation.no(&["token", "verify", token]), expected);
        let (status, _) = server.ask("GET", "/userinfo", &format!("Authorization: Bearer {token}\r\n"), "");
        assert_eq!(status, 401);
    }
    assert_eq!(server.sign_in(&ticket).0, 400);
    let rows = installation.json(&["audit", "list"]);
    assert!(rows.as_array().unwrap().iter().any(|row| row["refusal"] == "state-superseded"), "{rows}");
    assert_eq!(installation.json(&["token", "verify", &service()])["state_epoch"], 7);
    assert_eq!(installation.json(&["token", "verify", &person()])["valid"], true);
}

#[test]
fn a_running_server_takes_over_new_keys_and_on_sighup_a_new_configuration() {
    let installation = TestInstallation::with_key();
    let server = installation.serve(&[]);
    installation.json(&["user", "add", "alice"]);
    let ticket = || installation.json(&["ticket", "issue", "--user", "alice"])["ticket"].clone();
    let former = server.sign_in(&ticket()).1["access_token"].as_str().unwrap().to_owned();
    installation.json(&["key", "rotate", "--now"]);
    let (_, session) = server.sign_in(&ticket());
    let newer = session["access_token"].as_str().unwrap();
    assert_ne!(former.split('.').next(), newer.split('.').next(), "the new key signs");
    assert_eq!(installation.json(&["token", "verify", &former])["valid"], true, "the former still verifies");

    assert_eq!(session["expires_in"], 1800);
    std::fs::write(installation.path().join("gatepass.toml"), "user_token_lifetime = 99").unwrap();
    server.signal("-HUP");
    // A thread of its own handles the signal: repeat the request.
    let changed = (0..1_000).any(|_| server.sign_in(&ticket()).1["expires_in"] == 99);
    assert!(changed);
}

#[test]
fn an_authenticator_shows_one_name_whoever_sets_it_up() {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "corp:alice"]);
    for (file, label) in [
        ("", "Gatepass:corp_alice"),
        ("issuer = \"https://id.example:8443/gate\"", "id.example:corp_alice"),
        ("[second_factor]\ntotp_issuer = \"Example & Sons\"", "Example%20%26%20Sons:corp_alice"),
    ] {
        std::fs::write(installation.path().join("gatepass.toml"), file).unwrap();
        let server = installation.serve(&[]);
        let ticket = installation.json(&["ticket", "issue", "--user", "corp:alice"])["ticket"].clone();
        let token = server.sign_in(&ticket).1["access_token"].as_str().unwrap().to_owned();
        let headers = format!("Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n");
        let by_request =
            server.ask("POST", "/mfa/totp/setup", &headers, "{}").1["data"]["qr_code_url"].clone();
        let by_command = installation.json(&["user", "totp", "corp:alice"])["uri"].clone();
        for uri in [by_request, by_command] {
            assert!(uri.as_str().unwrap().starts_with(&format!("otpauth://totp/{label}?")), "{file}: {uri}");
        }
    }
    std::fs::write(installation.path().join("gatepass.toml"), "[second_factor]\ntotp_issuer = \"a:b\"")
        .unwrap();
    let (code, said) = installation.refused(&["user", "list"]);
    assert!(code == 2 && said.contains("totp_issuer") && said.contains("no colon"), "{said}");
}

#[test]
fn a_damaged_row_affects_only_requests_that_read_it() {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "alice"]);
    let server = installation.serve(&["--workers", "1"]);
    let issued = (0..24).map(|_| installation.json(&["ticket", "issue", "--user", "alice"]));
    let tickets: Vec<Value> = issued.map(|issued| issued["ticket"].clone()).collect();
    let sql = rusqlite::Connection::open(installation.path().join("gatepass.db")).unwrap();
    sql.execute("UPDATE tickets SET scope = 'a  b' WHERE seq % 3 = 0", []).unwrap();
    let answers = server.sign_in_together(&tickets);
    let statuses: Vec<u16> = answers.into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, [200, 200, 503].repeat(8));
}

/// A page at `evil.example` whose name leads here could read the answers as its own (DNS rebinding).
#[test]
fn only_own_hosts_are_served() {
    for front in ["guarded", "tiny_http"] {
        let installation = TestInstallation::with_key();
        let file = installation.path().join("gatepass.toml");
        std::fs::write(&file, "[http]\nhosts = [\"gatepass:8080\", \"other.example\"]").unwrap();
        let issuer = ["--front", front, "--issuer", "https://id.example.com"];
        let server = installation.serve(&issuer);
        let listening = server.ready["listening"].as_str().unwrap().to_owned();
        let port = listening.rsplit_once(':').unwrap().1;
        for (host, status) in [
            (listening.clone(), 200),
            (format!("localhost:{port}"), 200),
            (format!("LOCALHOST:{port}"), 200),
            (format!("[::1]:{port}"), 200),
            ("localhost".into(), 200),
            ("id.example.com".into(), 200),
            ("ID.example.com:443".into(), 200),
            ("gatepass:8080".into(), 200),
            ("gatepass".into(), 200),
            ("other.example:99".into(), 200),
            ("evil.example".into(), 421),
            (format!("evil.example:{port}"), 421),
            ("id.example.com.evil.example".into(), 421),
            ("localhost:1".into(), 421),
            ("gatepass:8081".into(), 421),
            (format!("127.0.0.2:{port}"), 421),
            (format!("192.0.2.1:{port}"), 421),
            ("a b".into(), 400),
            (String::new(), 400),
            ("localhost\r\nHost: evil.example".into(), 400),
        ] {
            assert_eq!(server.health(&format!("HTTP/1.1\r\nHost: {host}\r\n")), status, "{front} {host:?}");
        }
        assert_eq!(server.health("HTTP/1.1\r\n"), 400, "{front}");
        assert_eq!(server.health("HTTP/1.0\r\n"), 200, "{front}");
        assert_eq!(server.health("HTTP/1.0\r\nHost: evil.example\r\n"), 421, "{front}");

        std::fs::write(&file, "[http]\nhosts = [\"new.example\"]").unwrap();
        server.signal("-HUP");
        // A thread of its own handles the signal: repeat the request.
        assert!((0..1_000).any(|_| server.health("HTTP/1.1\r\nHost: new.example\r\n") == 200), "{front}");
        assert_eq!(server.health("HTTP/1.1\r\nHost: other.example\r\n"), 421, "{front}");
    }
}

#[test]
fn a_unix_socket_is_open_to_its_group() {
    let installation = TestInstallation::with_key();
    let path = installation.path().join("gatepass.sock");
    let listen = format!("unix:{}", path.display());
    for (mode, expected) in [("0660", 0o660), ("600", 0o600)] {
        let options = ["--front", "tiny_http", "--listen", &listen, "--socket-mode", mode];
        let server = installation.serve(if mode == "0660" { &options[..4] } else { &options });
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, expected);
        assert_eq!(installation.json(&["healthcheck"])["ready"], true);
        assert_eq!(server.end(), Some(0));
    }
    for mode in ["0460", "660x", "1777"] {
        let (code, said) = installation.refused(&["serve", "--socket-mode", mode]);
        assert!(code == 2 && said.contains("0660"), "{said}");
    }
}

#[test]
fn an_issuer_that_nobody_can_ask_at_is_warned_of() {
    let installation = TestInstallation::with_key();
    let log = installation.path().join("log");
    for (options, warned) in [
        (&["--listen", "0.0.0.0:0"][..], true),
        (&["--listen", "[::]:0"], true),
        (&["--issuer", "http://0.0.0.0:8080/a"], true),
        (&["--listen", "0.0.0.0:0", "--issuer", "https://id.example.com"], false),
        (&[], false),
    ] {
        let server = installation.serve_to(options, std::fs::File::create(&log).unwrap().into());
        assert_eq!(server.end(), Some(0));
        let said = std::fs::read_to_string(&log).unwrap();
        assert_eq!(
            said.contains("the issuer is no address that others can ask at"),
            warned,
            "{options:?} {said}"
        );
    }
}

/// A check by address asks the address that it connects to.
#[test]
fn who_listens_everywhere_is_reached_by_the_address_alone() {
    let installation = TestInstallation::with_key();
    let server = installation.serve(&["--listen", "0.0.0.0:0"]);
    let port = server.ready["listening"].as_str().unwrap().rsplit_once(':').unwrap().1;
    for (host, status) in
        [("127.0.0.1", 200), ("localhost", 200), ("0.0.0.0", 200), ("192.0.2.1", 421), ("box", 421)]
    {
        assert_eq!(server.health(&format!("HTTP/1.1\r\nHost: {host}:{port}\r\n")), status, "{host}");
    }
    assert_eq!(installation.json(&["healthcheck"])["ready"], true);
}

#[test]
fn repeated_refusals_of_a_good_token_are_counted() {
    let installation = TestInstallation::with_key();
    let server = installation.serve(&[]);
    let secret = installation.json(&["client", "add", "svc", "--scope", "a"])["client_secret"].clone();
    let form = format!(
        "grant_type=client_credentials&scope=a&client_id=svc&client_secret={}",
        secret.as_str().unwrap()
    );
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    let token = server.ask("POST", "/oauth2/token", headers, &form).1["access_token"].clone();
    let headers =
        format!("Content-Type: application/json\r\nAuthorization: Bearer {}\r\n", token.as_str().unwrap());
    for _ in 0..5 {
        assert_eq!(server.ask("POST", "/auth/generate-ticket", &headers, r#"{"user_id":"x"}"#).0, 403);
    }
    assert_eq!(server.end(), Some(0));
    let rows = installation.json(&["audit", "list"]);
    let told = |kind: &str| {
        rows.as_array()
            .unwrap()
            .iter()
            .filter(|r| r["refusal"] == "scope-missing" && r["kind"] == kind)
            .map(|row| row["count"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let refused = told("ticket.issue-refused");
    assert_eq!((refused.iter().sum::<u64>(), refused[0]), (5, 1), "the first has a row, and all are counted");
    // A new minute may begin in between.
    assert!(refused.len() <= 4, "{refused:?}");
    assert!(told("refusals").is_empty(), "nor are they counted once more");
}

#[test]
fn the_last_use_of_a_secret_is_written_at_the_end() {
    let installation = TestInstallation::with_key();
    let server = installation.serve(&[]);
    let mut forms = Vec::new();
    for id in ["used", "refused", "idle"] {
        let secret = installation.json(&["client", "add", id, "--scope", "a"])["client_secret"].clone();
        let secret = if id == "refused" { "wrong" } else { secret.as_str().unwrap() };
        forms.push(format!("grant_type=client_credentials&scope=a&client_id={id}&client_secret={secret}"));
    }
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    let status = |form: &str| server.ask("POST", "/oauth2/token", headers, form).0;
    assert_eq!([0, 0, 1].map(|n: usize| status(&forms[n])), [200, 200, 401]);
    let record = |id| installation.json(&["client", "show", id]);
    let before = record("used");
    assert_eq!(server.end(), Some(0));
    let last_used = |id| record(id)["secrets"][0]["last_used_at"].clone();
    let used = last_used("used");
    assert!(used.as_str().unwrap() >= before["created_at"].as_str().unwrap(), "{used}");
    assert_eq!([last_used("refused"), last_used("idle")], [Value::Null, Value::Null]);
    let listed = installation.json(&["client", "list"]);
    let mut listed = listed.as_array().unwrap().iter();
    assert!(listed.any(|client| client["secrets"][0]["last_used_at"] == used), "the list tells it, too");

    let server = installation.serve(&[]);
    assert_eq!(server.ask("POST", "/oauth2/token", headers, &forms[0]).0, 200);
    assert_eq!(server.end(), Some(0));
    assert_eq!(last_used("used"), used, "it is written once an hour");
}

#[test]
fn old_rows_are_swept_while_it_serves() {
    let installation = TestInstallation::with_key();
    installation.json(&["user", "add", "alice"]);
    installation.json(&["ticket", "issue", "--user", "alice"]);
    let sql = rusqlite::Connection::open(installation.path().join("gatepass.db")).unwrap();
    sql.execute("UPDATE tickets SET issued_at = 1, expires_at = 2", []).unwrap();
    // A log that another program has begun would be refused.
    drop(sql);
    installation.json(&["ticket", "issue", "--user", "alice"]);
    let _server = installation.serve(&["--sweep-interval", "1s"]);
    // Repeat: a command takes longer than a thread.
    let swept = (0..3_000).any(|_| installation.json(&["ticket", "list"]).as_array().unwrap().len() == 1);
    assert!(swept);
    assert_eq!(installation.json(&["ticket", "list"])[0]["state"], "live");
}
