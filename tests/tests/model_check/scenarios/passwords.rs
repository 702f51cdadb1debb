//! Guesses at pam's password.

use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::id::UserId;
use gatepass_core::records::password::{Password, PasswordHash};
use gatepass_core::records::sign_in_history::DeviceOnNetwork;
use gatepass_core::store::audit::Refusal;
use gatepass_core::store::change::Change;
use gatepass_tests::fixtures::{self, KIM_HASH, NOON, PAM_HASH, PAM_PASSWORD, request, user_id};
use gatepass_tests::guard::Guard;
use gatepass_tests::memory::Tables;
use serde_json::json;

use super::explorer::{ActorResult, Explorer, Promises, promised};

fn pam() -> UserId {
    user_id("pam")
}

fn login(password: &'static str) -> impl Fn() -> Request {
    move || request("/auth/login", "", &json!({"identity": "pam", "password": password}))
}

/// Two guesses, a right sign-in, and an operator who sets another password.
pub(crate) fn guesses<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    explorer(engine, Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() })
}

/// The same from a place that pam has signed in from.
pub(crate) fn guesses_at_a_place<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let mut tables = Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() };
    let place = DeviceOnNetwork::of("", b"", login("")().peer).expect("a place");
    tables.histories.entry(pam()).or_default().learn(place, NOON);
    explorer(engine, tables)
}

/// A sign-in that replaces a hash that another program made, and an operator who sets another password.
pub(crate) fn of_another_program<'a>(engine: &'a Engine, unguarded: &[Guard]) -> Explorer<'a> {
    let mut tables = Tables { unguarded: unguarded.to_vec(), ..fixtures::tables() };
    let hash = PasswordHash::import(PAM_HASH).expect("a hash");
    tables.passwords.insert(pam(), Password { hash, lockout: Lockout::default() });
    let another = PasswordHash::parse(KIM_HASH).expect("a hash");
    let set = another.clone();
    let check_state = move |tables: &Tables, told: &[ActorResult<'_>]| {
        let hash = &tables.passwords[&pam()].hash;
        promised(!told[1].is_done() || *hash == another, "a password that was set stays")?;
        let signed_in = told[0].welcome().is_some();
        promised(!signed_in || !hash.is_foreign(), "whoever signs in has a hash of ours")
    };
    let promises = Promises { check_transition: |_| Ok(()), check_state: Box::new(check_state) };
    Explorer::new(engine, tables, &[NOON], promises)
        .sends("the password", login(PAM_PASSWORD))
        .commands_at_once("an operator", move |tables, now| {
            let mut user = tables.users.get(&pam())?.clone();
            user.set_password(now);
            Some(vec![Change::UpdateUser(user), Change::SetPassword { user: pam(), hash: set.clone() }])
        })
}

/// Returns the wrong passwords that are counted.
fn counted(tables: &Tables) -> u32 {
    let at_places = tables.histories.get(&pam()).into_iter().flat_map(|history| &history.places);
    let account = tables.passwords.get(&pam()).map_or(0, |password| password.lockout.wrong);
    at_places.fold(account, |sum, known| sum + known.password.wrong)
}

fn explorer(engine: &Engine, tables: Tables) -> Explorer<'_> {
    let first = tables.passwords.get(&pam()).expect("a password").hash.clone();
    let another = fixtures::tables().passwords.into_values().find(|password| password.hash != first);
    let another = another.expect("another").hash;
    let check_state = move |tables: &Tables, told: &[ActorResult<'_>]| {
        let is_wrong = |told: &&ActorResult<'_>| matches!(told, ActorResult::Answer(a) if a.refusal == Some(Refusal::PasswordWrong));
        let wrong = told[..2].iter().filter(is_wrong).count();
        let forgiven = told[2].welcome().is_some() || told[3].is_done();
        promised(
            forgiven || wrong <= counted(tables) as usize,
            "every guess that was told wrong is counted",
        )?;
        let sessions =
            tables.sessions.values().filter(|session| session.user_epoch == tables.users[&pam()].epoch);
        promised(!told[3].is_done() || sessions.count() == 0, "a former password opens no session that lasts")
    };
    let promises = Promises { check_transition: |_| Ok(()), check_state: Box::new(check_state) };
    Explorer::new(engine, tables, &[NOON], promises)
        .sends("a guess", login("wrong"))
        .sends("another guess", login("wrong"))
        .sends("the password", login(PAM_PASSWORD))
        .commands_at_once("an operator", move |tables, now| {
            let mut user = tables.users.get(&pam())?.clone();
            user.set_password(now);
            Some(vec![Change::UpdateUser(user), Change::SetPassword { user: pam(), hash: another.clone() }])
        })
}
