//! A server under each wrong clock: from the start, and when it steps while the server runs.

use gatepass_tests::server::Running;

use crate::clock::{MINUTE, WRONG_CLOCKS, WrongClock};
use crate::installation::{ClockedInstallation, Issued, OFTEN};
use crate::serving::{are_good, are_refused, code_of, is_accepted, is_told, rounds, serve_all, until};

#[test]
fn a_server_that_starts_under_a_wrong_clock_serves_and_loses_nothing() {
    for wrong in WRONG_CLOCKS {
        let (mut installation, issued) = ClockedInstallation::good();
        let rows = installation.rows();
        installation.clocks.set(wrong);
        let server = installation.serve(OFTEN);
        until(&installation, &server, "the log tells that it is ready", || {
            installation.log().iter().any(|line| line.contains("\"ready\""))
        });
        let log = installation.log();
        let told = log.iter().position(|line| line.contains("the wall clock")).expect("a line");
        let ready = log.iter().position(|line| line.contains("\"ready\"")).expect("a line");
        assert!(told < ready, "{wrong:?}: {log:?}");
        let level = if wrong.is_ahead() { "INFO" } else { "WARN" };
        is_told(&installation, &server, Some((code_of(wrong), level)));
        let meanwhile = serve_all(&mut installation, &server, wrong, "pam");
        goes_right(installation, server, &issued, &meanwhile, wrong, rows.sessions);
    }
}

#[test]
fn a_server_whose_clock_steps_serves_and_loses_nothing() {
    for wrong in WRONG_CLOCKS {
        let (mut installation, issued) = ClockedInstallation::good();
        let rows = installation.rows();
        // Move the mark before the first sweep.
        let server = installation.serve(OFTEN);
        installation.clocks.set(wrong);
        let meanwhile = serve_all(&mut installation, &server, wrong, "pam");
        is_told(&installation, &server, Some((code_of(wrong), "WARN")));
        goes_right(installation, server, &issued, &meanwhile, wrong, rows.sessions);
    }
}

/// Sets the clock right after a time. Everything from before is still there; what was issued `meanwhile` is good unless
/// it is dated ahead.
fn goes_right(
    mut installation: ClockedInstallation,
    server: Running,
    issued: &Issued,
    meanwhile: &Issued,
    wrong: WrongClock,
    sessions: i64,
) {
    rounds(&mut installation, &server);
    assert!(installation.rows().sessions > sessions, "{wrong:?}: {:?} of {sessions}", installation.rows());
    assert!(installation.mark() <= installation.clocks.now() + MINUTE, "the mark followed {wrong:?}");
    if wrong.is_ahead() {
        assert!(!is_accepted(&server, &issued.access_token), "{wrong:?}");
    }
    installation.clocks.set(WrongClock::By(0));
    are_good(&installation, &server, issued, wrong);
    let after = serve_all(&mut installation, &server, WrongClock::By(0), "pam");
    if wrong.is_ahead() {
        are_refused(&server, meanwhile, "issued during a jump");
        assert!(!is_accepted(&server, &meanwhile.service_token), "{wrong:?}");
        let open = "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND signed_in_at > 60 + ";
        until(&installation, &server, "sessions of the jump end", || {
            installation.number(&format!("{open}{}", installation.clocks.now())) == 0
        });
        assert!(installation.rows().sessions > sessions, "{wrong:?}: nothing is swept");
    } else {
        are_good(&installation, &server, meanwhile, wrong);
    }
    is_told(&installation, &server, None);
    assert!(server.terminate(), "it ends well");
    assert!(installation.mark() <= installation.clocks.now() + MINUTE, "the mark followed {wrong:?}");
    let server = installation.serve(OFTEN);
    are_good(&installation, &server, &after, wrong);
    if let (true, WrongClock::By(seconds)) = (wrong.is_ahead(), wrong) {
        // The date of the jump arrives.
        installation.clocks.pass(seconds);
        rounds(&mut installation, &server);
        are_refused(&server, meanwhile, "its date has arrived");
        // It has no row that could be ended.
        assert!(is_accepted(&server, &meanwhile.service_token), "{wrong:?}");
    }
}
