//! No token outlives its lifetime by the time that really passes, whatever the wall clock shows when it is issued and afterwards.

use crate::clock::{FORTY_YEARS, HOUR, Wrong};
use crate::place::{Place, SELDOM, granted, redeem, service_token};
use crate::serving::{CLIENT, USER, is_accepted};

/// What a test may take, in seconds.
const MARGIN: i64 = 20;

#[test]
fn no_token_outlives_its_lifetime() {
    let (right, behind, ahead) = (Wrong::By(0), Wrong::By(-8 * HOUR), Wrong::By(8 * HOUR));
    let far = Wrong::By(FORTY_YEARS);
    for (issued, afterwards) in [
        (right, right),
        (right, behind),
        (right, Wrong::Epoch),
        (behind, behind),
        (behind, right),
        (behind, Wrong::Epoch),
        (Wrong::Epoch, Wrong::Epoch),
        (Wrong::Epoch, right),
        (ahead, ahead),
        (far, far),
    ] {
        let (mut place, _) = Place::good();
        let server = place.serve(SELDOM);
        place.clocks.set(issued);
        let ticket = place.ticket("alice");
        let user = granted(&server, &redeem(ticket["ticket"].as_str().expect("text"))).text("access_token");
        let service = granted(&server, &service_token()).text("access_token");
        place.clocks.set(afterwards);
        for (passes, user_is_good, service_is_good) in [
            (0, true, true),
            (USER - MARGIN, true, true),
            (MARGIN, false, true),
            (CLIENT - USER - MARGIN, false, true),
            (MARGIN, false, false),
        ] {
            place.clocks.pass(passes);
            let found = (is_accepted(&server, &user), is_accepted(&server, &service));
            assert_eq!(found, (user_is_good, service_is_good), "{issued:?}, {afterwards:?}, {passes}");
        }
    }
}
