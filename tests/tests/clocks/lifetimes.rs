//! No token outlives its lifetime in real time, whatever the wall clock shows when it is issued and afterwards.

use crate::clock::{FORTY_YEARS, HOUR, WrongClock};
use crate::installation::{ClockedInstallation, SELDOM, granted, redeem, service_token};
use crate::serving::{CLIENT, USER, is_accepted};

/// The longest duration of a test, in seconds.
const MARGIN: i64 = 20;

#[test]
fn no_token_outlives_its_lifetime() {
    let (right, behind, ahead) = (WrongClock::By(0), WrongClock::By(-8 * HOUR), WrongClock::By(8 * HOUR));
    let far = WrongClock::By(FORTY_YEARS);
    for (issued, afterwards) in [
        (right, right),
        (right, behind),
        (right, WrongClock::Epoch),
        (behind, behind),
        (behind, right),
        (behind, WrongClock::Epoch),
        (WrongClock::Epoch, WrongClock::Epoch),
        (WrongClock::Epoch, right),
        (ahead, ahead),
        (far, far),
    ] {
        let (mut installation, _) = ClockedInstallation::good();
        let server = installation.serve(SELDOM);
        installation.clocks.set(issued);
        let ticket = installation.ticket("alice");
        let user = granted(&server, &redeem(ticket["ticket"].as_str().expect("text"))).text("access_token");
        let service = granted(&server, &service_token()).text("access_token");
        installation.clocks.set(afterwards);
        for (passes, user_is_good, service_is_good) in [
            (0, true, true),
            (USER - MARGIN, true, true),
            (MARGIN, false, true),
            (CLIENT - USER - MARGIN, false, true),
            (MARGIN, false, false),
        ] {
            installation.clocks.pass(passes);
            let found = (is_accepted(&server, &user), is_accepted(&server, &service));
            assert_eq!(found, (user_is_good, service_is_good), "{issued:?}, {afterwards:?}, {passes}");
        }
    }
}
