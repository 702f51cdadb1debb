//! Every command under each wrong clock.

use gatepass_tests::world::BACKEND_SECRET;
use serde_json::Value;

use crate::clock::{MINUTE, WRONG, Wrong};
use crate::place::{Given, Place, Rows};

/// A key to import: that of RFC 8037 appendix A.1.
const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

/// A call of a command, with what it reads.
type Call = (Vec<String>, &'static str);

/// What a call came to: the exit code, and the rows afterwards.
type Done = (Option<i32>, Rows);

/// Returns every command that clap knows, by its words.
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
fn calls(command: &str, place: &Place, given: &Given) -> Vec<Call> {
    let file = |name: &str| place.site.path().join(name).display().to_string();
    let with = |rest: &str| call(&format!("{command} {rest}"));
    let reading = |rest: &str, input| (with(rest).0, input);
    match command {
        // Servers are tested by themselves; this one does not begin.
        "serve" => vec![with("--listen 192.0.2.1:1")],
        "client add" => vec![
            with("extra --scope orders:read"),
            with("other"),
            reading("third --secret-stdin", BACKEND_SECRET),
        ],
        "client set" => vec![with("extra --name Extra")],
        "client show" | "client disable" | "client enable" => vec![with("extra")],
        "client rotate-secret" => vec![with("extra --overlap 60")],
        "client delete" => vec![with("other")],
        "user add" => vec![with("eve --email eve@example.com")],
        "user set" => vec![with("eve --name Eve")],
        "user show" | "user disable" | "user enable" => vec![with("eve")],
        "user set-password" => vec![reading("eve", "correct mule battery")],
        "user require-password-change" | "user unlock" => vec![with("eve")],
        "user totp" => vec![with("bob"), with("lou --device-name telephone")],
        "user reset-mfa" => vec![with("lou")],
        "user delete" => vec![with("lou")],
        "ticket issue" => vec![with("--user alice"), with("--user bob --ttl 60 --audience portal")],
        "ticket revoke" => vec![with(&given.ticket_id)],
        "key generate" => vec![with("--alg EdDSA")],
        "key import" => vec![reading("-", KEY)],
        "key rotate" => vec![with("--alg ES256")],
        "key rotate-master" | "client list" | "user list" | "ticket list" | "key list" | "audit list"
        | "audit verify" | "check" | "healthcheck" | "clock show" | "clock reset" => vec![call(command)],
        "key retire" => {
            let keys = place.json(&["key", "list"], "");
            let unused = keys.as_array().expect("a list").iter().find(|key| key["state"] == "published");
            vec![with(unused.expect("a key that signed nothing")["kid"].as_str().expect("text"))]
        }
        "token verify" => vec![with(&given.access_token), with(&given.service_token)],
        "risk explain" => vec![with("--user alice")],
        "audit archive" => vec![with(&file("archive"))],
        "backup" => vec![with(&file("backup"))],
        "restore" => vec![with(&format!("{} --replace", file("backup")))],
        "handover cancel" => {
            let elsewhere = "0123456789abcdef0123456789abcdef";
            vec![call(&format!("backup {} --handover {elsewhere}", file("moving"))), call(command)]
        }
        _ => panic!("no row says how to call `{command}`"),
    }
}

/// Calls every command, and returns what each came to. No call may move the mark but `clock reset`.
fn call_all(place: &mut Place, given: &Given) -> Vec<(String, Done)> {
    let (mut kept, mut all) = (place.kept_clock(), Vec::new());
    for command in commands() {
        for (arguments, input) in calls(&command, place, given) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = place.run(&arguments, input);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            println!("{arguments:?} {:?} {told}", output.status.code());
            match command.as_str() {
                // A server may move it, but not to a jump; then there is something to move.
                "serve" => {
                    assert!(place.mark() <= place.clocks.now(), "{}", place.mark());
                    kept = place.kept_clock();
                    place.clocks.pass(20 * MINUTE);
                }
                "clock reset" => {}
                _ => assert_eq!(place.kept_clock(), kept, "the mark was moved by {arguments:?}"),
            }
            all.push((arguments.join(" "), (output.status.code(), place.rows())));
        }
    }
    all
}

#[test]
fn no_command_moves_the_mark_or_sweeps_under_any_clock() {
    let (mut place, given) = Place::good();
    let right = call_all(&mut place, &given);
    let refused: Vec<&str> =
        right.iter().filter(|(_, (status, _))| *status != Some(0)).map(|(call, _)| call.as_str()).collect();
    // No server runs to be asked, and the other cannot listen.
    assert_eq!(refused, ["serve --listen 192.0.2.1:1", "healthcheck"]);
    for wrong in WRONG {
        let (mut place, given) = Place::good();
        place.clocks.set(wrong);
        let found = call_all(&mut place, &given);
        assert_eq!(found.len(), right.len());
        for ((called, expected), (_, found)) in right.iter().zip(&found) {
            // Own time follows a clock that is ahead, and a token's life is over by then. A clock that is none sets no mark.
            let refuses = (called.starts_with("token verify") && wrong.is_ahead())
                || (called == "clock reset" && wrong == Wrong::Epoch);
            let status = if refuses { Some(1) } else { expected.0 };
            assert_eq!(*found, (status, expected.1), "{called}, {wrong:?}");
        }
        let shown = place.json(&["clock", "show"], "");
        let is_set = (place.mark() - place.clocks.wall()).abs() < MINUTE;
        assert_eq!(
            (is_set, wrong == Wrong::Epoch),
            (shown["behind"].is_null(), !is_set),
            "{wrong:?}: {shown}"
        );
        assert_eq!(shown["ahead"], Value::Null, "{wrong:?}: {shown}");
    }
}
