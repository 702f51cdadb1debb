//! A server under each wrong clock: from the start, and when it steps while the server runs.

use gatepass_tests::server::Running;

use crate::clock::{MINUTE, WRONG, Wrong};
use crate::place::{Given, OFTEN, Place};
use crate::serving::{are_good, are_refused, code_of, is_accepted, is_told, rounds, serve_all, until};

#[test]
fn a_server_that_starts_under_a_wrong_clock_serves_and_loses_nothing() {
    for wrong in WRONG {
        let (mut place, given) = Place::good();
        let rows = place.rows();
        place.clocks.set(wrong);
        let server = place.serve(OFTEN);
        until(&place, &server, "the log tells that it is ready", || {
            place.log().iter().any(|line| line.contains("\"ready\""))
        });
        let log = place.log();
        let told = log.iter().position(|line| line.contains("the wall clock")).expect("a line");
        let ready = log.iter().position(|line| line.contains("\"ready\"")).expect("a line");
        assert!(told < ready, "{wrong:?}: {log:?}");
        let level = if wrong.is_ahead() { "INFO" } else { "WARN" };
        is_told(&place, &server, Some((code_of(wrong), level)));
        let meanwhile = serve_all(&mut place, &server, wrong, "pam");
        goes_right(place, server, &given, &meanwhile, wrong, rows.sessions);
    }
}

#[test]
fn a_server_whose_clock_steps_serves_and_loses_nothing() {
    for wrong in WRONG {
        let (mut place, given) = Place::good();
        let rows = place.rows();
        // The mark is moved before the first sweep.
        let server = place.serve(OFTEN);
        place.clocks.set(wrong);
        let meanwhile = serve_all(&mut place, &server, wrong, "pam");
        is_told(&place, &server, Some((code_of(wrong), "WARN")));
        goes_right(place, server, &given, &meanwhile, wrong, rows.sessions);
    }
}

/// The clock is set right after a time. Nothing of before is gone; what was issued `meanwhile` is good unless it is dated ahead.
fn goes_right(
    mut place: Place,
    server: Running,
    given: &Given,
    meanwhile: &Given,
    wrong: Wrong,
    sessions: i64,
) {
    rounds(&mut place, &server);
    assert!(place.rows().sessions > sessions, "{wrong:?}: {:?} of {sessions}", place.rows());
    assert!(place.mark() <= place.clocks.now() + MINUTE, "the mark followed {wrong:?}");
    if wrong.is_ahead() {
        assert!(!is_accepted(&server, &given.access_token), "{wrong:?}");
    }
    place.clocks.set(Wrong::By(0));
    are_good(&place, &server, given, wrong);
    let after = serve_all(&mut place, &server, Wrong::By(0), "pam");
    if wrong.is_ahead() {
        are_refused(&server, meanwhile, "issued during a jump");
        assert!(!is_accepted(&server, &meanwhile.service_token), "{wrong:?}");
        let open = "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND signed_in_at > 60 + ";
        until(&place, &server, "sessions of the jump end", || {
            place.number(&format!("{open}{}", place.clocks.now())) == 0
        });
        assert!(place.rows().sessions > sessions, "{wrong:?}: nothing is swept");
    } else {
        are_good(&place, &server, meanwhile, wrong);
    }
    is_told(&place, &server, None);
    assert!(server.terminate(), "it ends well");
    assert!(place.mark() <= place.clocks.now() + MINUTE, "the mark followed {wrong:?}");
    let server = place.serve(OFTEN);
    are_good(&place, &server, &after, wrong);
    if let (true, Wrong::By(seconds)) = (wrong.is_ahead(), wrong) {
        // The date of the jump arrives.
        place.clocks.pass(seconds);
        rounds(&mut place, &server);
        are_refused(&server, meanwhile, "its date has arrived");
        // There is no row of it that could be ended.
        assert!(is_accepted(&server, &meanwhile.service_token), "{wrong:?}");
    }
}
