//! One assertion: three present it, for a token and for fresh tokens, while its client is disabled.

use gatepass_core::engine::Engine;
use gatepass_tests::assertions::{claims, give_key, posts_with, signed};
use gatepass_tests::fixtures::{self, NOON, impersonates};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::{Memory, Tables};

use super::commands::disables_client;
use super::explorer::{ActorResult, Explorer, Promises, promised};

pub(crate) fn explorer<'a>(engine: &'a Engine, unguarded: &[Guard], faults: u8) -> Explorer<'a> {
    let mut tables = Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() };
    give_key(&mut tables, "portal");
    let store = Memory::new(tables);
    let session = impersonates(engine, &store);
    let refresh = session["refresh_token"].as_str().expect("a refresh token").to_owned();
    let issuer = engine.settings().issuer.as_str();
    let assertion = signed(&claims("portal", issuer, "once", NOON));
    let asks = |form: String| {
        let assertion = assertion.clone();
        move || posts_with("/oauth2/token", &assertion, &form)
    };
    let check_state = |_: &Tables, told: &[ActorResult<'_>]| {
        let welcomed = told.iter().filter(|told| told.welcome().is_some()).count();
        promised(welcomed <= 1, "an assertion is answered 200 at most once")
    };
    let promises = Promises { check_transition: |_| Ok(()), check_state: Box::new(check_state) };
    Explorer::new(engine, store.with(|tables| tables.clone()), &[NOON], promises)
        .with_faults(faults)
        .sends("one", asks("grant_type=client_credentials".into()))
        .sends("another", asks("grant_type=client_credentials&scope=orders:write".into()))
        .sends("a third", asks(format!("grant_type=refresh_token&refresh_token={refresh}")))
        .commands_at_once("one who disables the portal", disables_client("portal"))
}
