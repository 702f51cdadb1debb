//! Every command, beside no server.

use serde_json::{Value, json};

use crate::site::{Site, read, told};

const SECRET: &str = "0123456789-0123456789-0123456789";

#[test]
fn the_life_of_a_client() {
    let site = Site::new();
    let add = ["--init", "client", "add", "svc", "--scope", "a b", "--default-scope", "a", "--audience", "x"];
    let added = site.json(&add);
    assert_eq!(added["client_id"], "svc");
    let secret = added["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("gps_") && secret.len() == 47, "{secret}");

    let shown = site.json(&["client", "show", "svc"]);
    assert_eq!(shown["scope"], "a b");
    assert_eq!(shown["default_scope"], "a");
    assert_eq!(shown["audiences"], json!(["x"]));
    assert_eq!(shown["enabled"], true);
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
    assert!(!shown.to_string().contains(secret), "a secret is shown once");
    assert_eq!(site.json(&["client", "list"]), json!([shown]));

    let set = ["client", "set", "svc", "--name", "Service", "--token-lifetime", "60", "--audience", ""];
    let set = site.json(&set);
    assert_eq!((&set["name"], &set["token_lifetime"]), (&json!("Service"), &json!(60)));
    assert_eq!(set["audiences"], json!([]));
    assert_eq!(set["scope"], "a b", "what is not named stays");

    let rotated = site.json(&["client", "rotate-secret", "svc", "--overlap", "60"]);
    assert_ne!(rotated["client_secret"], added["client_secret"]);
    let secrets = site.json(&["client", "show", "svc"])["secrets"].clone();
    assert_eq!(secrets.as_array().unwrap().len(), 2);
    assert!(secrets[0]["expires_at"].is_string() && secrets[1]["expires_at"].is_null());
    site.json(&["client", "rotate-secret", "svc"]);
    assert_eq!(site.json(&["client", "show", "svc"])["secrets"].as_array().unwrap().len(), 1);

    assert_eq!(site.json(&["client", "disable", "svc"])["enabled"], false);
    assert_eq!(site.json(&["client", "disable", "svc"])["enabled"], false);
    assert_eq!(site.json(&["client", "enable", "svc"])["enabled"], true);
    assert_eq!(site.json(&["client", "delete", "svc"]), json!({"client_id": "svc", "deleted": true}));
    assert_eq!(site.json(&["client", "list"]), json!([]));

    let kinds: Vec<Value> =
        site.json(&["audit", "list"]).as_array().unwrap().iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(
        kinds,
        [
            "client.added",
            "client.changed",
            "client.secret-rotated",
            "client.secret-rotated",
            "client.disabled",
            "client.enabled",
            "client.deleted"
        ],
        "one row for each change, none where nothing changed"
    );
}

#[test]
fn a_secret_may_be_brought_along_and_is_not_shown() {
    let site = Site::new();
    let add = ["--init", "--json", "client", "add", "svc", "--scope", "a", "--secret-stdin"];
    let output = site.run_with(&add, &format!("{SECRET}\n"));
    assert_eq!(read(&add, &output, 0), json!({"client_id": "svc", "client_secret": null}));
    for (secret, why) in
        [("short\n", "32 characters"), ("", "32 characters"), (&format!("{SECRET}\n\n"), "one line")]
    {
        let (code, said) = told(&site.run_with(&["client", "add", "other", "--secret-stdin"], secret));
        assert!(code == 2 && said.contains(why), "{said}");
    }
}

#[test]
fn the_life_of_a_person() {
    let site = Site::new();
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
    let added = site.json(&add);
    let id = added["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("usr_") && id.len() == 26, "{id}");
    assert_eq!(added["username"], "alice");
    assert_eq!(added["address"], json!({"city": "Oxford"}));
    assert_eq!((&added["status"], &added["phone"]), (&json!("active"), &Value::Null));
    assert_eq!(site.json(&["user", "show", "alice"]), added);
    assert_eq!(site.json(&["user", "show", &id]), added);

    let set = site.json(&["user", "set", "alice", "--username", "alicia", "--name", "张伟", "--email", ""]);
    assert_eq!(
        (&set["username"], &set["name"], &set["email"]),
        (&json!("alicia"), &json!("张伟"), &Value::Null)
    );
    assert_eq!(set["gender"], "female", "what is not named stays");

    site.json(&["user", "add", "bob"]);
    let (code, said) = site.refused(&["user", "set", "bob", "--username", "alicia"]);
    assert!(code == 1 && said.contains("taken"), "{said}");
    assert_eq!(site.json(&["user", "disable", &id])["status"], "disabled");
    assert_eq!(site.json(&["user", "enable", &id])["status"], "active");
    assert_eq!(site.json(&["user", "delete", "bob"])["deleted"], true);
    assert_eq!(site.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn the_life_of_a_key() {
    let site = Site::new();
    let first = site.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
    assert_eq!((&first["alg"], &first["state"]), (&json!("EdDSA"), &json!("signing")));
    let second = site.json(&["key", "generate", "--alg", "es256"]);
    assert_eq!((&second["alg"], &second["state"]), (&json!("ES256"), &json!("published")));
    let rotated = site.json(&["key", "rotate"]);
    assert_eq!(
        (&rotated["kid"], &rotated["state"]),
        (&second["kid"], &json!("signing")),
        "the one that waited"
    );
    let third = site.json(&["key", "rotate"]);
    assert_eq!(third["alg"], "ES256", "as the one before");
    let states: Vec<Value> =
        site.json(&["key", "list"]).as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["verifying-only", "verifying-only", "signing"]);
    let (code, said) = site.refused(&["key", "retire", third["kid"].as_str().unwrap()]);
    assert!(code == 1 && said.contains("gatepass key rotate"), "{said}");
    assert_eq!(site.json(&["key", "retire", first["kid"].as_str().unwrap()])["state"], "retired");

    let file = site.path().join("jwk.json");
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    std::fs::write(&file, jwk).unwrap();
    let file = file.to_str().unwrap();
    let imported = site.json(&["key", "import", file]);
    assert_eq!(imported["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "RFC 8037, appendix A.3");
    assert_eq!(imported["state"], "published");
    let (code, said) = site.refused(&["key", "import", file]);
    assert!(code == 1 && said.contains("there already"), "{said}");
    let everything = site.json(&["key", "list"]).to_string();
    assert!(!everything.contains("nWGxne"), "private parts stay inside");
}

#[test]
fn a_ticket_is_issued_listed_and_revoked() {
    let site = Site::new();
    site.json(&["--init", "user", "add", "alice"]);
    site.json(&["user", "add", "boss"]);
    site.json(&["client", "add", "portal", "--scope", "a"]);
    let issued = site.json(&["ticket", "issue", "--user", "alice", "--ttl", "60"]);
    assert!(issued["ticket"].as_str().unwrap().starts_with("tkt_"));
    assert_eq!(issued["expires_in"], 60);
    let acting = ["ticket", "issue", "--user", "alice", "--audience", "portal", "--bind", "--actor", "boss"];
    let acting =
        site.json(&[&acting[..], &["--reason", "ticket 4711", "--client-ip", "::ffff:192.0.2.1"]].concat());

    let listed = site.json(&["ticket", "list"]);
    assert_eq!((&listed[0]["id"], &listed[1]["id"]), (&acting["id"], &issued["id"]), "the newest first");
    assert_eq!((&listed[0]["client_id"], &listed[0]["bind"]), (&json!("portal"), &json!(true)));
    assert_eq!((&listed[0]["reason"], &listed[0]["client_ip"]), (&json!("ticket 4711"), &json!("192.0.2.1")));
    assert_eq!((&listed[1]["state"], &listed[1]["client_id"]), (&json!("live"), &json!("admin")));
    assert!(!listed.to_string().contains("tkt_"));

    let id = issued["id"].as_str().unwrap();
    assert_eq!(site.json(&["ticket", "revoke", id])["state"], "revoked");
    let (code, said) = site.refused(&["ticket", "revoke", id]);
    assert!(code == 1 && said.contains("already spent or revoked"), "{said}");
    let (code, said) = site.refused(&["ticket", "revoke", issued["ticket"].as_str().unwrap()]);
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
        let (exit, said) = site.refused(&[&["ticket", "issue"], arguments].concat());
        assert!(exit == code && said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn what_cannot_be_done_is_told_in_one_line_with_the_way_out() {
    let site = Site::new();
    let (code, said) = site.refused(&["client", "list"]);
    assert!(code == 1 && said.contains("gatepass serve"), "{said}");
    assert_eq!(std::fs::read_dir(site.path()).unwrap().count(), 0, "looking makes nothing");

    site.json(&["--init", "client", "add", "svc"]);
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
        // Thumbprints begin as they will.
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
        let (exit, said) = site.refused(arguments);
        assert!(exit == code && said.contains(why), "{arguments:?}: {said}");
    }
    for misused in [&["client"][..], &["nothing"], &["client", "add"], &["client", "list", "--nothing"]] {
        let output = site.run(misused);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{misused:?}");
    }
}

#[test]
fn a_wrong_or_missing_master_key_damages_nothing() {
    let site = Site::with_key();
    let key = site.path().join("master.key");
    let aside = site.path().join("aside");
    std::fs::rename(&key, &aside).unwrap();
    let other = Site::with_key();
    std::fs::copy(other.path().join("master.key"), &key).unwrap();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["key", "list"], &["user", "add", "x"]] {
        let (code, said) = site.refused(arguments);
        assert!(code == 1 && said.contains("master"), "{said}");
    }
    std::fs::remove_file(&key).unwrap();
    let (code, said) = site.refused(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(code == 1 && said.contains("master.key"), "{said}");
    assert!(!key.exists(), "none is made beside a database");
    std::fs::rename(&aside, &key).unwrap();
    assert_eq!(site.json(&["check"])["ok"], true);
}

#[test]
fn the_record_is_whole_and_the_clock_is_shown_and_reset() {
    let site = Site::new();
    site.json(&["--init", "user", "add", "alice"]);
    assert_eq!(site.json(&["audit", "verify"])["valid"], true);
    assert_eq!(site.json(&["audit", "list", "--since", "1h"]).as_array().unwrap().len(), 1);
    assert_eq!(site.json(&["audit", "list", "--since", "9999-01-01T00:00:00Z"]), json!([]));
    assert_eq!(site.json(&["clock", "show"])["behind"], Value::Null);
    site.json(&["clock", "reset"]);
    assert_eq!(site.json(&["audit", "list"])[1]["kind"], "clock.reset");
    let text = String::from_utf8(site.run(&["audit", "list"]).stdout).unwrap();
    assert!(text.starts_with("seq=1 at=") && text.contains("kind=user.added"), "{text}");
}

#[test]
fn nobody_reading_the_output_is_no_failure() {
    let site = Site::new();
    site.json(&["--init", "user", "add", "alice"]);
    for arguments in [&["user", "list"][..], &["--json", "audit", "list"], &["--help"]] {
        let mut child = site.command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}
