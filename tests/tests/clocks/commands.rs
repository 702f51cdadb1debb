//! Every command under each wrong clock.

use gatepass_tests::fixtures::BACKEND_SECRET;
use serde_json::Value;

use crate::clock::{MINUTE, WRONG_CLOCKS, WrongClock};
use crate::installation::{ClockedInstallation, Issued, Rows};

/// A key to import, of RFC 8037 appendix A.1.
const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// Commands that work on the files of SQLite alone, and the end of a handover that one of them begins.
const FILES: [&str; 4] = ["backup ", "restore ", "backup ", "handover cancel"];

/// A command line, and its input.
type Call = (Vec<String>, &'static str);

/// The result of a call: the exit code, and the rows afterwards.
type Done = (Option<i32>, Rows);

/// Returns every command of the command line.
fn commands() -> Vec<String> {
    fn collect(command: &clap::Command, path: &str, all: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            command.get_subcommands().for_each(|below| collect(below, &path, all));
        } else {
            all.push(path.trim_start().to_owned());
        }
    }
    let mut all = Vec::new();
    gatepass::cli::tree().get_subcommands().for_each(|command| collect(command, "", &mut all));
    // It may move the mark, so that it comes before all that may not.
    all.sort_by_key(|command| command != "serve");
    all
}

fn call(arguments: &str) -> Call {
    (arguments.split(' ').map(String::from).collect(), "")
}

/// Returns the calls of a command. They build on each other in the order of the commands.
fn calls(command: &str, installation: &ClockedInstallation, issued: &Issued) -> Vec<Call> {
    let file = |name: &str| installation.installation.path().join(name).display().to_string();
    let with = |rest: &str| call(&format!("{command} {rest}"));
    let reading = |rest: &str, input| (with(rest).0, input);
    match command {
        // Servers have tests of their own; this one does not start.
        "serve" => vec![with("--listen 192.0.2.1:1")],
        "client add" => vec![
            with("extra --scope orders:read"),
            with("other"),
            reading("third --secret-stdin", BACKEND_SECRET),
        ],
        "client set" => vec![with("extra --name Extra")],
        "client show" | "client disable" | "client enable" => vec![with("extra")],
        "client rotate-secret" => vec![with("extra --overlap 60")],
        "client add-secret" => vec![with("extra --lifetime 60")],
        "client end-secret" => {
            let extra = installation.json(&["client", "show", "extra"], "");
            vec![with(&format!("extra {}", extra["secrets"][0]["id"].as_str().expect("an id")))]
        }
        "client delete" => vec![with("other")],
        "user add" => vec![with("eve --email eve@example.com")],
        "user set" => vec![with("eve --name Eve")],
        "user show" | "user disable" | "user enable" => vec![with("eve")],
        "user set-password" => vec![reading("eve", "correct mule battery")],
        "user require-password-change" | "user unlock" => vec![with("eve")],
        "user totp" => vec![with("bob"), with("lou --device-name telephone")],
        "user reset-mfa" => vec![with("lou")],
        "user import" => vec![reading("-", "{\"username\": \"imported\"}\n")],
        "user delete" => vec![with("lou")],
        "ticket issue" => vec![with("--user alice"), with("--user bob --ttl 60 --audience portal")],
        "session end" => vec![with("--user bob")],
        "ticket revoke" => vec![with(&issued.ticket_id)],
        "key generate" => vec![with("--alg EdDSA")],
        "key import" => vec![reading("-", KEY)],
        "key rotate" => vec![with("--alg ES256")],
        "key export" => vec![call(command), with("--pem")],
        "key activate" => {
            let keys = installation.json(&["key", "list"], "");
            let new = keys.as_array().expect("a list").iter().find(|key| key["state"] == "published");
            vec![with(&format!(
                "{} --now --beside",
                new.expect("a key that waits")["kid"].as_str().expect("text")
            ))]
        }
        "key rotate-master" | "client list" | "user list" | "ticket list" | "session list" | "key list"
        | "user export" | "audit list" | "audit verify" | "check" | "config check" | "config show"
        | "healthcheck" | "clock show" | "clock reset" => {
            vec![call(command)]
        }
        "key retire" => {
            let keys = installation.json(&["key", "list"], "");
            let unused = keys.as_array().expect("a list").iter().find(|key| key["state"] == "published");
            vec![with(unused.expect("a key that signed nothing")["kid"].as_str().expect("text"))]
        }
        "token verify" => vec![with(&issued.access_token), with(&issued.service_token)],
        "risk explain" => vec![with("--user alice")],
        "audit archive" => vec![with(&file("archive"))],
        "backup" => vec![with(&file("backup"))],
        "restore" => vec![with(&format!("{} --replace", file("backup")))],
        // From a file to a file nothing is copied.
        "store copy" => vec![with("--from here --to there")],
        "handover cancel" => {
            let elsewhere = "0123456789abcdef0123456789abcdef";
            vec![call(&format!("backup {} --handover {elsewhere}", file("moving"))), call(command)]
        }
        _ => panic!("no row says how to call `{command}`"),
    }
}

/// Runs every command, and returns the results. Only `clock reset` may move the mark.
fn call_all(installation: &mut ClockedInstallation, issued: &Issued) -> Vec<(String, Done)> {
    let (mut kept, mut all) = (installation.kept_clock(), Vec::new());
    for command in commands() {
        for (arguments, input) in calls(&command, installation, issued) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = installation.run(&arguments, input);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            println!("{arguments:?} {:?} {told}", output.status.code());
            match command.as_str() {
                // A server may move the mark, but not to a jump. Then there is something to move.
                "serve" => {
                    assert!(installation.mark() <= installation.clocks.now(), "{}", installation.mark());
                    kept = installation.kept_clock();
                    installation.clocks.pass(20 * MINUTE);
                }
                "clock reset" => {}
                _ => assert_eq!(installation.kept_clock(), kept, "the mark was moved by {arguments:?}"),
            }
            all.push((arguments.join(" "), (output.status.code(), installation.rows())));
        }
    }
    all
}

#[test]
fn no_command_moves_the_mark_or_sweeps_under_any_clock() {
    let (mut installation, issued) = ClockedInstallation::good();
    let right = call_all(&mut installation, &issued);
    let refused: Vec<&str> =
        right.iter().filter(|(_, (status, _))| *status != Some(0)).map(|(call, _)| call.as_str()).collect();
    // No server runs to be asked, the other cannot listen, and a file is not copied to a file.
    let mut expected = vec!["serve --listen 192.0.2.1:1", "store copy --from here --to there", "healthcheck"];
    if installation.installation.database().is_some() {
        // What works on files alone. No store was handed over.
        expected.splice(1..1, FILES);
    }
    let said = |call: &str| expected.iter().any(|expected| call.starts_with(expected));
    assert!(refused.len() == expected.len() && refused.iter().all(|call| said(call)), "{refused:?}");
    for wrong in WRONG_CLOCKS {
        let (mut installation, issued) = ClockedInstallation::good();
        installation.clocks.set(wrong);
        let found = call_all(&mut installation, &issued);
        assert_eq!(found.len(), right.len());
        for ((called, expected), (_, found)) in right.iter().zip(&found) {
            // Own time follows a clock that is ahead, so that a token has expired by then. A clock at the epoch sets no
            // mark.
            let refuses = (called.starts_with("token verify") && wrong.is_ahead())
                || (called == "clock reset" && wrong == WrongClock::Epoch);
            let status = if refuses { Some(1) } else { expected.0 };
            assert_eq!(*found, (status, expected.1), "{called}, {wrong:?}");
        }
        let shown = installation.json(&["clock", "show"], "");
        let is_set = (installation.mark() - installation.clocks.wall()).abs() < MINUTE;
        assert_eq!(
            (is_set, wrong == WrongClock::Epoch),
            (shown["behind"].is_null(), !is_set),
            "{wrong:?}: {shown}"
        );
        assert_eq!(shown["ahead"], Value::Null, "{wrong:?}: {shown}");
    }
}
