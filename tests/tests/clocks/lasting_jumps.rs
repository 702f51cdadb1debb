//! A wrong clock that lasts moves the mark. Once it is set right, service goes on; `clock reset` repairs the mark at
//! once.

use gatepass_tests::http::TestRequest;
use gatepass_tests::server::Running;

use crate::clock::{FORTY_YEARS, HOUR, MINUTE, WrongClock};
use crate::installation::{ClockedInstallation, Issued, OFTEN, granted};
use crate::serving::{are_good, are_refused, is_accepted, is_told, rounds, serve_all, until, warnings};

/// The time in seconds after which a jump moves the mark.
const BELIEVED: i64 = 600;

/// Keeps the clock wrong until the mark follows, and returns what was issued by then.
fn follow(installation: &mut ClockedInstallation, server: &Running, wrong: WrongClock) -> Issued {
    // The server notices the jump.
    assert_eq!(warnings(server), ["clock-ahead"]);
    installation.clocks.pass(BELIEVED - 5 * MINUTE);
    rounds(installation, server);
    assert!(installation.mark() <= installation.clocks.now() + MINUTE, "the mark followed too early");
    let before = serve_all(installation, server, wrong, "pam");
    assert_eq!(warnings(server), ["clock-ahead"]);
    installation.clocks.pass(3 * MINUTE);
    until(installation, server, "the mark follows", || {
        installation.mark() > installation.clocks.now() + HOUR
    });
    assert_eq!(warnings(server), [""; 0]);
    before
}

#[test]
fn a_lasting_jump_moves_the_mark_and_is_repaired() {
    for wrong in [WrongClock::By(8 * HOUR), WrongClock::By(FORTY_YEARS)] {
        for at_start in [true, false] {
            let (mut installation, issued) = ClockedInstallation::good();
            let rows = installation.rows();
            if at_start {
                installation.clocks.set(wrong);
            }
            let server = installation.serve(OFTEN);
            installation.clocks.set(wrong);
            let ahead = follow(&mut installation, &server, wrong);
            rounds(&mut installation, &server);
            assert!(installation.rows().sessions > rows.sessions, "nothing is swept for an hour: {wrong:?}");

            // The wall clock is right, but our own time is not. Codes are made, and tokens verified, by the wall clock.
            installation.clocks.set(WrongClock::By(0));
            let behind = serve_all(&mut installation, &server, WrongClock::By(0), "pat");
            is_told(&installation, &server, Some(("clock-behind", "WARN")));
            for issued in [&ahead, &behind] {
                assert!(
                    is_accepted(&server, &issued.access_token) && is_accepted(&server, &issued.service_token)
                );
            }
            assert!(!is_accepted(&server, &issued.access_token), "by our own time it has expired");

            let dated = format!(
                "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND signed_in_at > {}",
                installation.clocks.wall() + MINUTE
            );
            let count = installation.number(&dated);
            assert!(count > 0);
            let told = installation.json(&["clock", "reset"], "");
            // The very next request.
            granted(&server, &TestRequest::new("GET", "/userinfo").bearer(&issued.access_token));
            assert_eq!(told["sessions_ended"], count, "{told}");
            assert_eq!(installation.number(&dated), 0);
            is_told(&installation, &server, None);
            are_good(&installation, &server, &issued, wrong);
            for issued in [&ahead, &behind] {
                are_refused(&server, issued, "issued before the mark was set back");
                assert!(!is_accepted(&server, &issued.service_token), "{wrong:?}");
            }
            // The code that she used last is dated ahead, and does not count.
            serve_all(&mut installation, &server, WrongClock::By(0), "pam");
            rounds(&mut installation, &server);
            assert!(installation.rows().sessions > rows.sessions, "nothing is swept for an hour: {wrong:?}");
            assert!(server.terminate(), "it ends well");
        }
    }
}

#[test]
fn a_reset_holds_for_the_next_request_of_any_kind() {
    let (mut installation, issued) = ClockedInstallation::good();
    let server = installation.serve(OFTEN);
    installation.clocks.set(WrongClock::By(8 * HOUR));
    follow(&mut installation, &server, WrongClock::By(8 * HOUR));
    installation.clocks.set(WrongClock::By(0));
    let late = gatepass_tests::suite::sign_in(&issued.ticket);
    assert_eq!(late.to(server.address).status, 400, "by our own time it has expired");
    installation.json(&["clock", "reset"], "");
    granted(&server, &late);
}
