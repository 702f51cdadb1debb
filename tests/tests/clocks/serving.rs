//! What a server is asked under a wrong clock, and what must come of it.

use std::time::{Duration, Instant};

use gatepass_tests::http::Ask;
use gatepass_tests::server::Running;
use gatepass_tests::suite::{introspect, refresh};
use serde_json::json;

use crate::clock::{MINUTE, Wrong};
use crate::place::{Given, Place, granted, redeem, service_token, verify};
use crate::strict::verified;

/// Lifetimes of access tokens, in seconds.
pub(crate) const USER: i64 = 1800;
pub(crate) const CLIENT: i64 = 3600;
/// Longer than a server takes to do anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until `holds`.
pub(crate) fn until(place: &Place, server: &Running, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never came to this: {what}; {:#?}", place.log());
        granted(server, &Ask::new("GET", "/healthz"));
    }
}

/// Lets the server go through everything that it does by itself: the mark moves before it sweeps, so that when the mark moves for the
/// second time, a sweep is over.
pub(crate) fn rounds(place: &mut Place, server: &Running) {
    for _ in 0..2 {
        let mark = place.mark();
        place.clocks.pass(MINUTE + 1);
        until(place, server, "the mark moves", || place.mark() > mark);
    }
}

pub(crate) fn userinfo(server: &Running, token: &str) -> u16 {
    Ask::new("GET", "/userinfo").bearer(token).to(server.address).status
}

fn is_active(server: &Running, token: &str) -> bool {
    granted(server, &introspect(token)).json()["active"] == json!(true)
}

/// Accepts or refuses `token` at each of our own endpoints alike.
pub(crate) fn is_accepted(server: &Running, token: &str) -> bool {
    let (info, active) = (userinfo(server, token), is_active(server, token));
    assert!((info, active) == (200, true) || (info, active) == (401, false), "{info} {active}");
    active
}

pub(crate) fn warnings(server: &Running) -> Vec<String> {
    let ready = granted(server, &Ask::new("GET", "/readyz")).json();
    let warnings = ready["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(|warning| warning.as_str().expect("text").to_owned()).collect()
}

pub(crate) fn findings(place: &Place) -> Vec<String> {
    let found = place.json(&["check"], "");
    let codes = found["findings"].as_array().expect("a list").iter().map(|finding| finding["code"].as_str());
    codes.map(|code| code.expect("text").to_owned()).filter(|code| code.starts_with("clock-")).collect()
}

/// The time that other people's clocks show: the wall clock's, where it is a clock.
fn others(place: &Place, wrong: Wrong) -> i64 {
    if wrong == Wrong::Epoch { place.clocks.now() } else { place.clocks.wall() }
}

/// Signs in and does everything that a session is for; each token is verified by others and accepted by us, at once. `who`
/// has a device. Returns what was issued.
pub(crate) fn serve_all(place: &mut Place, server: &Running, wrong: Wrong, who: &str) -> Given {
    let ours = |token: &str, place: &Place, lifetime| {
        let claims = verified(server, token, others(place, wrong), lifetime);
        assert!(is_accepted(server, token), "{claims}");
    };
    let signed_in = granted(server, &redeem(place.ticket("alice")["ticket"].as_str().expect("text")));
    ours(&signed_in.text("access_token"), place, USER);
    let refreshed = granted(server, &refresh(&signed_in.text("refresh_token")));
    ours(&refreshed.text("access_token"), place, USER);
    let service = granted(server, &service_token());
    ours(&service.text("access_token"), place, CLIENT);

    let ticket = place.ticket(who);
    let challenged = granted(server, &redeem(ticket["ticket"].as_str().expect("text")));
    assert_eq!(challenged.json()["requires_mfa"], json!(true), "{challenged:?}");
    // A code is accepted once.
    place.clocks.pass(31);
    // By own time: an earlier one was accepted before.
    let code = place.code(who, place.clocks.now().max(place.clocks.wall()));
    let answered = granted(server, &verify(&challenged.text("challenge_token"), &code));
    ours(&answered.text("access_token"), place, USER);

    let (ticket, waiting) = (place.ticket("alice"), place.ticket(who));
    let challenge = granted(server, &redeem(waiting["ticket"].as_str().expect("text")));
    Given {
        access_token: refreshed.text("access_token"),
        service_token: service.text("access_token"),
        refresh_token: refreshed.text("refresh_token"),
        ticket: ticket["ticket"].as_str().expect("text").to_owned(),
        ticket_id: ticket["id"].as_str().expect("text").to_owned(),
        challenge: challenge.text("challenge_token"),
    }
}

/// Everything that was issued is good still; uses it up.
pub(crate) fn are_good(place: &Place, server: &Running, given: &Given, wrong: Wrong) {
    assert!(is_accepted(server, &given.access_token), "{wrong:?}");
    assert!(is_accepted(server, &given.service_token), "{wrong:?}");
    granted(server, &refresh(&given.refresh_token));
    granted(server, &redeem(&given.ticket));
    assert_ne!(place.number("SELECT count(*) FROM sessions WHERE ended_at IS NULL"), 0);
}

/// What rests on a record that was issued is refused.
pub(crate) fn are_refused(server: &Running, given: &Given, what: &str) {
    assert!(!is_accepted(server, &given.access_token), "{what}");
    for ask in [refresh(&given.refresh_token), redeem(&given.ticket), verify(&given.challenge, "000000")] {
        let status = ask.to(server.address).status;
        assert!((400..500).contains(&status), "{what}: {ask:?} was answered {status}");
    }
}

/// What is told of the clock: `/readyz`, `check` and the log, which tells of a wrong clock at this level.
pub(crate) fn is_told(place: &Place, server: &Running, told: Option<(&str, &str)>) {
    let codes: Vec<String> = told.iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!((warnings(server), findings(place)), (codes.clone(), codes));
    if let Some((code, level)) = told {
        let what = if code == "clock-ahead" { "ahead" } else { "the wall clock is behind" };
        until(place, server, "the log tells", || {
            place.log().iter().any(|line| line.contains(what) && line.contains(level))
        });
    }
}

pub(crate) const fn code_of(wrong: Wrong) -> &'static str {
    if wrong.is_ahead() { "clock-ahead" } else { "clock-behind" }
}
