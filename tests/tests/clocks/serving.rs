//! Requests to a server under a wrong clock, and their expected results.

use std::time::{Duration, Instant};

use gatepass_tests::http::TestRequest;
use gatepass_tests::server::Running;
use gatepass_tests::suite::{introspect, refresh};
use serde_json::json;

use crate::clock::{MINUTE, WrongClock};
use crate::installation::{ClockedInstallation, Issued, granted, redeem, service_token, verify};
use crate::strict::verified;

/// Lifetimes of access tokens, in seconds.
pub(crate) const USER: i64 = 1800;
pub(crate) const CLIENT: i64 = 3600;
/// Longer than any operation of a server.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Polls until `holds`.
pub(crate) fn until(
    installation: &ClockedInstallation,
    server: &Running,
    what: &str,
    mut holds: impl FnMut() -> bool,
) {
    let end = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < end, "it never came to this: {what}; {:#?}", installation.log());
        granted(server, &TestRequest::new("GET", "/healthz"));
    }
}

/// Waits until the server's maintenance is complete: the mark moves before a sweep, so that when the mark moves for the
/// second time, a sweep is over.
pub(crate) fn rounds(installation: &mut ClockedInstallation, server: &Running) {
    for _ in 0..2 {
        let mark = installation.mark();
        installation.clocks.pass(MINUTE + 1);
        until(installation, server, "the mark moves", || installation.mark() > mark);
    }
}

pub(crate) fn userinfo(server: &Running, token: &str) -> u16 {
    TestRequest::new("GET", "/userinfo").bearer(token).to(server.address).status
}

fn is_active(server: &Running, token: &str) -> bool {
    granted(server, &introspect(token)).json()["active"] == json!(true)
}

/// Returns true if our own endpoints accept `token`. All must agree.
pub(crate) fn is_accepted(server: &Running, token: &str) -> bool {
    let (info, active) = (userinfo(server, token), is_active(server, token));
    assert!((info, active) == (200, true) || (info, active) == (401, false), "{info} {active}");
    active
}

pub(crate) fn warnings(server: &Running) -> Vec<String> {
    let ready = granted(server, &TestRequest::new("GET", "/readyz")).json();
    let warnings = ready["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(|warning| warning.as_str().expect("text").to_owned()).collect()
}

pub(crate) fn findings(installation: &ClockedInstallation) -> Vec<String> {
    let found = installation.json(&["check"], "");
    let codes = found["findings"].as_array().expect("a list").iter().map(|finding| finding["code"].as_str());
    codes.map(|code| code.expect("text").to_owned()).filter(|code| code.starts_with("clock-")).collect()
}

/// Returns the time of other people's clocks: the wall clock's, unless it is at the epoch.
fn others(installation: &ClockedInstallation, wrong: WrongClock) -> i64 {
    if wrong == WrongClock::Epoch { installation.clocks.now() } else { installation.clocks.wall() }
}

/// Signs in and uses every function of a session. Each token is verified by others and accepted by us at once. `who` has
/// a device. Returns what was issued.
pub(crate) fn serve_all(
    installation: &mut ClockedInstallation,
    server: &Running,
    wrong: WrongClock,
    who: &str,
) -> Issued {
    let ours = |token: &str, installation: &ClockedInstallation, lifetime| {
        let claims = verified(server, token, others(installation, wrong), lifetime);
        assert!(is_accepted(server, token), "{claims}");
    };
    let signed_in = granted(server, &redeem(installation.ticket("alice")["ticket"].as_str().expect("text")));
    ours(&signed_in.text("access_token"), installation, USER);
    let refreshed = granted(server, &refresh(&signed_in.text("refresh_token")));
    ours(&refreshed.text("access_token"), installation, USER);
    let service = granted(server, &service_token());
    ours(&service.text("access_token"), installation, CLIENT);

    let ticket = installation.ticket(who);
    let challenged = granted(server, &redeem(ticket["ticket"].as_str().expect("text")));
    assert_eq!(challenged.json()["requires_mfa"], json!(true), "{challenged:?}");
    // A code is accepted once.
    installation.clocks.pass(31);
    // By own time: an earlier one was accepted before.
    let code = installation.code(who, installation.clocks.now().max(installation.clocks.wall()));
    let answered = granted(server, &verify(&challenged.text("challenge_token"), &code));
    ours(&answered.text("access_token"), installation, USER);

    let (ticket, waiting) = (installation.ticket("alice"), installation.ticket(who));
    let challenge = granted(server, &redeem(waiting["ticket"].as_str().expect("text")));
    Issued {
        access_token: refreshed.text("access_token"),
        service_token: service.text("access_token"),
        refresh_token: refreshed.text("refresh_token"),
        ticket: ticket["ticket"].as_str().expect("text").to_owned(),
        ticket_id: ticket["id"].as_str().expect("text").to_owned(),
        challenge: challenge.text("challenge_token"),
    }
}

/// Checks that everything that was issued is still good, and uses it up.
pub(crate) fn are_good(
    installation: &ClockedInstallation,
    server: &Running,
    issued: &Issued,
    wrong: WrongClock,
) {
    assert!(is_accepted(server, &issued.access_token), "{wrong:?}");
    assert!(is_accepted(server, &issued.service_token), "{wrong:?}");
    granted(server, &refresh(&issued.refresh_token));
    granted(server, &redeem(&issued.ticket));
    assert_ne!(installation.number("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), 0);
}

/// Checks that everything that depends on an issued record is refused.
pub(crate) fn are_refused(server: &Running, issued: &Issued, what: &str) {
    assert!(!is_accepted(server, &issued.access_token), "{what}");
    for ask in [refresh(&issued.refresh_token), redeem(&issued.ticket), verify(&issued.challenge, "000000")] {
        let status = ask.to(server.address).status;
        assert!((400..500).contains(&status), "{what}: {ask:?} was answered {status}");
    }
}

/// Checks the reports about the clock: `/readyz`, `check` and the log, which reports a wrong clock at this level.
pub(crate) fn is_told(installation: &ClockedInstallation, server: &Running, told: Option<(&str, &str)>) {
    let codes: Vec<String> = told.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!((warnings(server), findings(installation)), (codes.clone(), codes));
    if let Some((code, level)) = told {
        let what = if code == "clock-ahead" { "ahead" } else { "the wall clock is behind" };
        until(installation, server, "the log tells", || {
            installation.log().iter().any(|line| line.contains(what) && line.contains(level))
        });
    }
}

pub(crate) const fn code_of(wrong: WrongClock) -> &'static str {
    if wrong.is_ahead() { "clock-ahead" } else { "clock-behind" }
}
