//! No secret is written anywhere: not to the log, however much it tells, and not to a file in the data directory.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::fs::{self, File};

use gatepass_tests::http::Ask;
use gatepass_tests::server::Site;
use gatepass_tests::suite::sign_in;
use gatepass_tests::world::{BACKEND_SECRET, PORTAL_SECRET};
use serde_json::json;

#[test]
fn neither_log_nor_files_hold_a_secret() {
    for format in ["json", "text"] {
        let (site, logs) = (Site::new(), Site::new());
        let log = logs.path().join("log");
        let arguments = ["--log-level", "trace", "--log-format", format];
        site.json(&["key", "generate", "--alg", "EdDSA", "--activate"]);
        let server = site.serve_to(&arguments, File::create(&log).expect("a log").into());
        site.populate();
        let target = server.target();

        let bound = json!({"user_id": "alice", "audience": "portal", "bind": true});
        let (ticket, wasted) = (target.ticket(&bound), target.ticket(&bound));
        let service = target.service_token("ticket:issue");
        let answer = target.ask(&sign_in(&ticket).basic("portal", PORTAL_SECRET));
        let secrets = [
            ticket.clone(),
            wasted.clone(),
            service.clone(),
            answer.text("access_token"),
            answer.text("refresh_token"),
            BACKEND_SECRET.to_owned(),
            PORTAL_SECRET.to_owned(),
        ];
        assert!(secrets.iter().all(|secret| secret.len() > 40), "{answer:?}");
        // What is refused is not told either, nor what stands where it does not belong.
        target.ask(&sign_in(&ticket));
        target.ask(&sign_in(&wasted));
        target.ask(&sign_in(&wasted).bearer(&service).bearer(&service));
        target.ask(&Ask::new("GET", "/userinfo").bearer(&answer.text("access_token")));
        target.ask(&Ask::new("GET", &format!("/userinfo?access_token={service}")));
        target.ask(&Ask::form("/oauth2/token", &format!("client_secret={PORTAL_SECRET}&%")));
        target.ask(&Ask::form("/oauth2/token", "scope=a").basic("backend", BACKEND_SECRET));
        assert!(server.terminate());

        let log = fs::read_to_string(log).expect("text");
        assert!(log.contains("/oauth2/token") && log.contains("stopped"), "it does tell: {log}");
        let files = fs::read_dir(site.path()).expect("the data directory");
        let files = files.map(|file| fs::read(file.expect("a file").path()).expect("a file"));
        let everything: Vec<Vec<u8>> = files.chain([log.into_bytes()]).collect();
        assert!(everything.len() >= 3);
        for secret in secrets {
            let found = |bytes: &Vec<u8>| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!everything.iter().any(found), "{secret} was written");
        }
    }
}
