//! Every command, without a server.

use std::process::Command;

use serde_json::{Value, json};

use crate::installation::{TestInstallation, read, told};

const SECRET: &str = "0123456789-0123456789-0123456789";

#[test]
fn a_client_from_add_to_delete() {
    let installation = TestInstallation::new();
    let add = ["--init", "client", "add", "svc", "--scope", "a b", "--default-scope", "a", "--audience", "x"];
    let added = installation.json(&add);
    assert_eq!(added["client_id"], "svc");
    let secret = added["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("gps_") && secret.len() == 47, "{secret}");

    let shown = installation.json(&["client", "show", "svc"]);
    assert_eq!(shown["scope"], "a b");
    assert_eq!(shown["default_scope"], "a");
    assert_eq!(shown["audiences"], json!(["x"]));
    assert_eq!(shown["enabled"], true);
    assert_eq!(shown["trusted_context"], false);
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
    assert!(!shown.to_string().contains(secret), "a secret is shown once");
    assert_eq!(installation.json(&["client", "list"]), json!([shown]));

    let set = ["client", "set", "svc", "--name", "Service", "--token-lifetime", "60", "--audience", ""];
    let set = installation.json(&set);
    assert_eq!((&set["name"], &set["token_lifetime"]), (&json!("Service"), &json!(60)));
    assert_eq!(set["audiences"], json!([]));
    assert_eq!(set["scope"], "a b", "what is not named stays");
    let trusted = ["client", "set", "svc", "--trusted-context", "true"];
    assert_eq!(installation.json(&trusted)["trusted_context"], true);
    assert_eq!(installation.json(&["client", "set", "svc", "--scope", "a b"])["trusted_context"], true);
    assert_eq!(
        installation.json(&["client", "set", "svc", "--trusted-context", "false"])["trusted_context"],
        false
    );
    let wrong = installation.run(&["client", "set", "svc", "--trusted-context", "yes"]);
    assert_eq!(wrong.status.code(), Some(2));

    let rotated = installation.json(&["client", "rotate-secret", "svc", "--overlap", "60"]);
    assert_ne!(rotated["client_secret"], added["client_secret"]);
    let secrets = installation.json(&["client", "show", "svc"])["secrets"].clone();
    assert_eq!(secrets.as_array().unwrap().len(), 2);
    assert!(secrets[0]["expires_at"].is_string() && secrets[1]["expires_at"].is_null());
    installation.json(&["client", "rotate-secret", "svc"]);
    assert_eq!(installation.json(&["client", "show", "svc"])["secrets"].as_array().unwrap().len(), 1);

    assert_eq!(installation.json(&["client", "disable", "svc"])["enabled"], false);
    assert_eq!(installation.json(&["client", "disable", "svc"])["enabled"], false);
    assert_eq!(installation.json(&["client", "enable", "svc"])["enabled"], true);
    assert_eq!(installation.json(&["client", "delete", "svc"]), json!({"client_id": "svc", "deleted": true}));
    assert_eq!(installation.json(&["client", "list"]), json!([]));

    let kinds: Vec<Value> = installation
        .json(&["audit", "list"])
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["kind"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "client.added",
            "client.changed",
            "client.changed",
            "client.changed",
            "client.secret-rotated",
            "client.secrets-ended",
            "client.secret-rotated",
            "client.secrets-ended",
            "client.disabled",
            "client.enabled",
            "client.deleted"
        ],
        "one row for each change, none where nothing changed"
    );
}

#[test]
fn a_secret_may_be_brought_along_and_is_not_shown() {
    let installation = TestInstallation::new();
    let add = ["--init", "--json", "client", "add", "svc", "--scope", "a", "--secret-stdin"];
    let output = installation.run_with(&add, &format!("{SECRET}\n"));
    assert_eq!(read(&add, &output, 0), json!({"client_id": "svc", "client_secret": null}));
    for (secret, why) in
        [("short\n", "32 characters"), ("", "32 characters"), (&format!("{SECRET}\n\n"), "one line")]
    {
        let (code, said) =
            told(&installation.run_with(&["client", "add", "other", "--secret-stdin"], secret));
        assert!(code == 2 && said.contains(why), "{said}");
    }
}

#[test]
fn a_user_from_add_to_delete() {
    let installation = TestInstallation::new();
    let add = [
        "--init",
        "user",
        "add",
        "alice",
        "--email",
        "a@example.com",
        "--gender",
        "female",
        "--address",
        r#"{"city":"Oxford"}"#,
    ];
    let added = installation.json(&add);
    let id = added["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("usr_") && id.len() == 26, "{id}");
    assert_eq!(added["username"], "alice");
    assert_eq!(added["address"], json!({"city": "Oxford"}));
    assert_eq!((&added["status"], &added["phone"]), (&json!("active"), &Value::Null));
    assert_eq!(installation.json(&["user", "show", "alice"]), added);
    assert_eq!(installation.json(&["user", "show", &id]), added);

    let set =
        installation.json(&["user", "set", "alice", "--username", "alicia", "--name", "张伟", "--email", ""]);
    assert_eq!(
        (&set["username"], &set["name"], &set["email"]),
        (&json!("alicia"), &json!("张伟"), &Value::Null)
    );
    assert_eq!(set["gender"], "female", "what is not named stays");

    installation.json(&["user", "add", "bob"]);
    let (code, said) = installation.refused(&["user", "set", "bob", "--username", "alicia"]);
    assert!(code == 1 && said.contains("taken"), "{said}");
    assert_eq!(installation.json(&["user", "disable", &id])["status"], "disabled");
    assert_eq!(installation.json(&["user", "enable", &id])["status"], "active");
    assert_eq!(installation.json(&["user", "delete", "bob"])["deleted"], true);
    assert_eq!(installation.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_key_from_generate_to_retire() {
    let installation = TestInstallation::new();
    let first = installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    assert_eq!((&first["alg"], &first["state"]), (&json!("EdDSA"), &json!("signing")));
    let second = installation.json(&["key", "generate", "--alg", "es256"]);
    assert_eq!((&second["alg"], &second["state"]), (&json!("ES256"), &json!("published")));
    let rotated = installation.json(&["key", "rotate"]);
    assert_eq!((&rotated["kid"], &rotated["state"]), (&second["kid"], &json!("published")), "it is new");
    let output = installation.command(&["key", "rotate"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let from = rotated["signs_from"].as_str().unwrap();
    assert!(output.status.success() && said.contains(&format!("again at {from} or later")), "{said}");
    let sql = rusqlite::Connection::open(installation.path().join("gatepass.db")).unwrap();
    sql.execute("UPDATE keys SET created_at = created_at - 360 WHERE alg = 'ES256'", []).unwrap();
    // A log that another program has begun would be refused.
    drop(sql);
    let rotated = installation.json(&["key", "rotate"]);
    assert_eq!(
        (&rotated["kid"], &rotated["state"]),
        (&second["kid"], &json!("signing")),
        "every copy has it"
    );
    let named = installation.json(&["key", "generate", "--alg", "ed25519"]);
    assert_eq!((&named["alg"], &named["state"]), (&json!("Ed25519"), &json!("published")));
    installation.json(&["key", "retire", named["kid"].as_str().unwrap()]);
    let output = installation.command(&["--json", "key", "rotate", "--now"]).output().unwrap();
    let (third, said) = (read(&[], &output, 0), String::from_utf8(output.stderr).unwrap());
    assert_eq!((&third["alg"], &third["state"]), (&json!("ES256"), &json!("signing")), "as the one before");
    assert!(said.contains("refuses its tokens, for up to 300 s"), "{said}");
    let states: Vec<Value> = installation
        .json(&["key", "list"])
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].clone())
        .collect();
    assert_eq!(states, ["verifying-only", "verifying-only", "signing"]);
    let (code, said) = installation.refused(&["key", "retire", third["kid"].as_str().unwrap()]);
    assert!(code == 1 && said.contains("gatepass key rotate"), "{said}");
    let (code, said) = installation.refused(&["key", "retire", first["kid"].as_str().unwrap()]);
    let until = installation.json(&["key", "list"])[0]["retire_from"].as_str().unwrap().to_owned();
    assert!(code == 1 && said.contains(&until), "{said}");
    let now = ["key", "retire", first["kid"].as_str().unwrap(), "--now"];
    assert_eq!(installation.json(&now)["state"], "retired");

    let file = installation.path().join("jwk.json");
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    std::fs::write(&file, jwk).unwrap();
    let file = file.to_str().unwrap();
    let imported = installation.json(&["key", "import", file]);
    assert_eq!(imported["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "RFC 8037, appendix A.3");
    assert_eq!(imported["state"], "published");
    let (code, said) = installation.refused(&["key", "import", file]);
    assert!(code == 1 && said.contains("there already"), "{said}");
    let everything = installation.json(&["key", "list"]).to_string();
    assert!(!everything.contains("nWGxne"), "private parts stay inside");
}

#[test]
fn a_ticket_is_issued_listed_and_revoked() {
    let installation = TestInstallation::new();
    installation.json(&["--init", "user", "add", "alice"]);
    installation.json(&["user", "add", "boss"]);
    installation.json(&["client", "add", "portal", "--scope", "a"]);
    let issued = installation.json(&["ticket", "issue", "--user", "alice", "--ttl", "60"]);
    assert!(issued["ticket"].as_str().unwrap().starts_with("tkt_"));
    assert_eq!(issued["expires_in"], 60);
    let acting = ["ticket", "issue", "--user", "alice", "--audience", "portal", "--bind", "--actor", "boss"];
    let acting = installation
        .json(&[&acting[..], &["--reason", "ticket 4711", "--client-ip", "::ffff:192.0.2.1"]].concat());

    let listed = installation.json(&["ticket", "list"]);
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&acting["id"], &issued["id"]), "the newest first");
    assert_eq!((&listed[0]["client_id"], &listed[0]["bind"]), (&json!("portal"), &json!(true)));
    assert_eq!((&listed[0]["reason"], &listed[0]["client_ip"]), (&json!("ticket 4711"), &json!("192.0.2.1")));
    assert_eq!((&listed[1]["state"], &listed[1]["client_id"]), (&json!("live"), &json!("admin")));
    assert!(!listed.to_string().contains("tkt_"));

    let id = issued["id"].as_str().unwrap();
    assert_eq!(installation.json(&["ticket", "revoke", id])["state"], "revoked");
    let (code, said) = installation.refused(&["ticket", "revoke", id]);
    assert!(code == 1 && said.contains("already spent or revoked"), "{said}");
    let (code, said) = installation.refused(&["ticket", "revoke", issued["ticket"].as_str().unwrap()]);
    assert!(code == 2 && said.contains("a ticket itself"), "{said}");
    assert!(!said.contains("tkt_"), "a ticket is not repeated: {said}");

    for (arguments, code, why) in [
        (&["--user", "nobody"][..], 1, "does not exist"),
        (&["--user", "alice", "--ttl", "0"], 2, "1 to 3600"),
        (&["--user", "alice", "--ttl", "3601"], 2, "1 to 3600"),
        (&["--user", "alice", "--audience", "nobody"], 1, "audience"),
        (&["--user", "alice", "--audience", "a b"], 2, "--audience"),
        (&["--user", "alice", "--scope", "ticket:issue"], 1, "scope"),
        (&["--user", "alice", "--actor", "alice", "--reason", "x"], 1, "actor"),
        (&["--user", "alice", "--actor", "boss", "--reason", " "], 2, "reason"),
    ] {
        let (exit, said) = installation.refused(&[&["ticket", "issue"], arguments].concat());
        assert!(exit == code && said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn a_failure_is_one_line_and_names_the_way_out() {
    let installation = TestInstallation::new();
    let (code, said) = installation.refused(&["client", "list"]);
    assert!(code == 1 && said.contains("gatepass serve"), "{said}");
    assert_eq!(std::fs::read_dir(installation.path()).unwrap().count(), 0, "looking makes nothing");

    installation.json(&["--init", "client", "add", "svc"]);
    for (arguments, code, why) in [
        (&["client", "add", "svc"][..], 1, "gatepass client set svc"),
        (&["client", "add", "a b"], 2, "1 to 64"),
        (&["client", "add", "x", "--scope", "a", "--default-scope", "b"], 2, "not within"),
        (&["client", "show", "nobody"], 1, "gatepass client list"),
        (&["client", "delete", "nobody"], 1, "gatepass client list"),
        (&["user", "show", "nobody"], 1, "gatepass user list"),
        (&["user", "add", "usr_x"], 2, "user name"),
        (&["user", "add", "x", "--gender", "y"], 2, "female"),
        (&["key", "retire", "nothing"], 1, "gatepass key list"),
        // A thumbprint may begin with `-`.
        (&["key", "retire", "-Yur0KVOS_xQA8L8a_pnBH8PEBJu7JM86S9yCCLFH_k"], 1, "gatepass key list"),
        (&["key", "retire", "-h-r0KVOS_xQA8L8a_pnBH8PEBJu7JM86S9yCCLFH_k"], 1, "gatepass key list"),
        (&["key", "retire", "--help-OS_xQA8L8a_pnBH8PEBJu7JM86S9yCCLFH_k"], 1, "gatepass key list"),
        (&["key", "generate", "--alg", "none"], 2, "RS256"),
        (&["key", "import", "/nonexistent"], 1, "/nonexistent"),
        (&["audit", "list", "--since", "yesterday"], 2, "2h"),
        (&["serve", "--workers", "1025"], 2, "0 to 1024"),
        (&["serve", "--listen", "nowhere"], 2, "127.0.0.1:8080"),
        (&["serve", "--config", "/nonexistent.toml"], 2, "/nonexistent.toml"),
        (&["serve", "--front", "tiny_http", "--listen", "0.0.0.0:0"], 1, "--front guarded"),
        (&["serve", "--listen", "192.0.2.1:0"], 1, "--listen"),
    ] {
        let (exit, said) = installation.refused(arguments);
        assert!(exit == code && said.contains(why), "{arguments:?}: {said}");
    }
    for misused in [&["client"][..], &["nothing"], &["client", "add"], &["client", "list", "--nothing"]] {
        let output = installation.run(misused);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{misused:?}");
    }
}

#[test]
fn a_wrong_or_missing_master_key_damages_nothing() {
    let installation = TestInstallation::with_key();
    let key = installation.path().join("master.key");
    let aside = installation.path().join("aside");
    std::fs::rename(&key, &aside).unwrap();
    let other = TestInstallation::with_key();
    std::fs::copy(other.path().join("master.key"), &key).unwrap();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["key", "list"], &["user", "add", "x"]] {
        let (code, said) = installation.refused(arguments);
        assert!(code == 1 && said.contains("master"), "{said}");
    }
    std::fs::remove_file(&key).unwrap();
    let (code, said) = installation.refused(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(code == 1 && said.contains("master.key"), "{said}");
    assert!(!key.exists(), "none is made beside a database");
    std::fs::rename(&aside, &key).unwrap();
    assert_eq!(installation.json(&["check"])["ok"], true);
}

#[test]
fn the_audit_is_verified_and_the_clock_is_shown_and_reset() {
    let installation = TestInstallation::new();
    installation.json(&["--init", "user", "add", "alice"]);
    assert_eq!(installation.json(&["audit", "verify"])["valid"], true);
    assert_eq!(installation.json(&["audit", "list", "--since", "1h"]).as_array().unwrap().len(), 1);
    assert_eq!(installation.json(&["audit", "list", "--since", "9999-01-01T00:00:00Z"]), json!([]));
    assert_eq!(installation.json(&["clock", "show"])["behind"], Value::Null);
    installation.json(&["clock", "reset"]);
    let listed = installation.json(&["audit", "list"]);
    assert_eq!(listed[1]["kind"], "clock.reset");
    let id = String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap();
    for row in listed.as_array().unwrap() {
        let operator = row["operator"].as_str().unwrap();
        assert!(operator.contains(&format!("({})", id.trim())), "{operator}");
    }
    let output = installation
        .command(&["user", "disable", "alice"])
        .envs([("SUDO_USER", "eve"), ("SUDO_UID", "7")])
        .output();
    assert!(output.unwrap().status.success());
    let listed = installation.json(&["audit", "list"]);
    assert!(listed[2]["operator"].as_str().unwrap().ends_with(" by sudo from eve(7)"), "{listed}");
    let text = String::from_utf8(installation.run(&["audit", "list"]).stdout).unwrap();
    assert!(text.starts_with("seq=1 at=") && text.contains("kind=user.added"), "{text}");
}

#[test]
fn the_audit_is_asked() {
    let installation = TestInstallation::new();
    let alice = installation.json(&["--init", "user", "add", "alice"])["id"].clone();
    installation.json(&["user", "add", "bob"]);
    installation.json(&["client", "add", "svc", "--scope", "a"]);
    installation.json(&["user", "disable", "alice"]);
    let reason = "a call\" refusal=ticket-spent seq=9 \u{2028}\u{202e}";
    installation.json(&["user", "add", "boss"]);
    installation.json(&["ticket", "issue", "--user", "bob", "--actor", "boss", "--reason", reason]);
    installation.json(&["user", "delete", "alice"]);
    let alice = alice.as_str().unwrap();
    let all = [
        "user.added",
        "user.added",
        "client.added",
        "user.disabled",
        "user.added",
        "ticket.issued",
        "user.deleted",
    ];
    let kinds = |arguments: &[&str]| -> Vec<String> {
        let listed = installation.json(&[&["audit", "list"], arguments].concat());
        listed.as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect()
    };
    for (arguments, expected) in [
        (&[][..], &all[..]),
        (&["--user", alice], &["user.added", "user.disabled", "user.deleted"]),
        (&["--user", "bob"], &["user.added", "ticket.issued"]),
        (&["--user", "boss"], &["user.added", "ticket.issued"]),
        (&["--client", "svc"], &["client.added"]),
        (
            &["--kind", "user.added", "--kind", "user.deleted", "--limit", "2"],
            &["user.added", "user.deleted"],
        ),
        (&["--limit", "1"], &["user.deleted"]),
        (&["--limit", "10000", "--since", "1h"], &all),
        (&["--until", "1h"], &[]),
        (&["--refusal", "any"], &[]),
        (&["--refusal", "ticket-spent"], &[]),
        (&["--request", "req_1"], &[]),
        (&["--user", "usr_nobody"], &[]),
    ] {
        assert_eq!(kinds(arguments), expected, "{arguments:?}");
    }
    for (arguments, code, said) in [
        (&["--user", "alice"][..], 1, "alice"),
        (&["--kind", "ticket.isued"], 2, "ticket.issued"),
        (&["--refusal", "ticket-spend"], 2, "ticket-spent"),
        (&["--client", "a b"], 2, "64 characters"),
        (&["--request", "a b"], 2, "64 characters"),
        (&["--limit", "0"], 2, "10000"),
        (&["--until", "tomorrow"], 2, "2h"),
    ] {
        let refused = installation.refused(&[&["audit", "list"], arguments].concat());
        assert!(refused.0 == code && refused.1.contains(said), "{arguments:?}: {refused:?}");
    }
    let text = String::from_utf8(installation.run(&["audit", "list"]).stdout).unwrap();
    assert_eq!(text.lines().count(), all.len(), "{text}");
    let line = text.lines().find(|line| line.contains("kind=ticket.issued")).unwrap();
    let told = r#" reason="a call\" refusal=ticket-spent seq=9 \u{2028}\u{202e}" count=1 "#;
    assert!(line.contains(told) && !text.contains(['\u{2028}', '\u{202e}', '\u{1b}']), "{line}");
}

#[test]
fn closed_output_is_no_failure() {
    let installation = TestInstallation::new();
    installation.json(&["--init", "user", "add", "alice"]);
    for arguments in [&["user", "list"][..], &["--json", "audit", "list"], &["--help"]] {
        let mut child = installation.command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}
