//! A wrong clock that lasts moves the mark. When it is set right, service goes on; `clock reset` mends the mark at once.

use gatepass_tests::http::Ask;
use gatepass_tests::server::Running;

use crate::clock::{FORTY_YEARS, HOUR, MINUTE, Wrong};
use crate::place::{Given, OFTEN, Place, granted};
use crate::serving::{are_good, are_refused, is_accepted, is_told, rounds, serve_all, until, warnings};

/// The time after which a jump is believed, in seconds.
const BELIEVED: i64 = 600;

/// Lets the clock stay wrong until the mark follows, and returns what was issued by then.
fn follow(place: &mut Place, server: &Running, wrong: Wrong) -> Given {
    // The jump is seen.
    assert_eq!(warnings(server), ["clock-ahead"]);
    place.clocks.pass(BELIEVED - 5 * MINUTE);
    rounds(place, server);
    assert!(place.mark() <= place.clocks.now() + MINUTE, "the mark followed too early");
    let before = serve_all(place, server, wrong, "pam");
    assert_eq!(warnings(server), ["clock-ahead"]);
    place.clocks.pass(3 * MINUTE);
    until(place, server, "the mark follows", || place.mark() > place.clocks.now() + HOUR);
    assert_eq!(warnings(server), [""; 0]);
    before
}

#[test]
fn a_jump_that_lasts_is_believed_and_mended() {
    for wrong in [Wrong::By(8 * HOUR), Wrong::By(FORTY_YEARS)] {
        for at_start in [true, false] {
            let (mut place, given) = Place::good();
            let rows = place.rows();
            if at_start {
                place.clocks.set(wrong);
            }
            let server = place.serve(OFTEN);
            place.clocks.set(wrong);
            let ahead = follow(&mut place, &server, wrong);
            rounds(&mut place, &server);
            assert!(place.rows().sessions > rows.sessions, "nothing is swept for an hour: {wrong:?}");

            // The wall clock is right, and our own time is not: codes are made by the wall clock, and others verify by it.
            place.clocks.set(Wrong::By(0));
            let behind = serve_all(&mut place, &server, Wrong::By(0), "pat");
            is_told(&place, &server, Some(("clock-behind", "WARN")));
            for issued in [&ahead, &behind] {
                assert!(
                    is_accepted(&server, &issued.access_token) && is_accepted(&server, &issued.service_token)
                );
            }
            assert!(!is_accepted(&server, &given.access_token), "by our own time it has expired");

            let dated = format!(
                "SELECT count(*) FROM sessions WHERE ended_at IS NULL AND signed_in_at > {}",
                place.clocks.wall() + MINUTE
            );
            let count = place.number(&dated);
            assert!(count > 0);
            let told = place.json(&["clock", "reset"], "");
            // The very next request.
            granted(&server, &Ask::new("GET", "/userinfo").bearer(&given.access_token));
            assert_eq!(told["sessions_ended"], count, "{told}");
            assert_eq!(place.number(&dated), 0);
            is_told(&place, &server, None);
            are_good(&place, &server, &given, wrong);
            for issued in [&ahead, &behind] {
                are_refused(&server, issued, "issued before the mark was set back");
                assert!(!is_accepted(&server, &issued.service_token), "{wrong:?}");
            }
            // The code that she used last is dated ahead, and does not count.
            serve_all(&mut place, &server, Wrong::By(0), "pam");
            rounds(&mut place, &server);
            assert!(place.rows().sessions > rows.sessions, "nothing is swept for an hour: {wrong:?}");
            assert!(server.terminate(), "it ends well");
        }
    }
}

#[test]
fn a_reset_holds_for_the_next_request_of_any_kind() {
    let (mut place, given) = Place::good();
    let server = place.serve(OFTEN);
    place.clocks.set(Wrong::By(8 * HOUR));
    follow(&mut place, &server, Wrong::By(8 * HOUR));
    place.clocks.set(Wrong::By(0));
    let late = gatepass_tests::suite::sign_in(&given.ticket);
    assert_eq!(late.to(server.address).status, 400, "by our own time it has expired");
    place.json(&["clock", "reset"], "");
    granted(&server, &late);
}
