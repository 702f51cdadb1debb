//! The scenarios, each with tables, actors, a clock and promises, and the counterexamples without a guard.

mod assertions;
mod collisions;
mod commands;
mod deliveries;
mod explorer;
mod factors;
mod families;
mod passwords;
mod roles;
mod tickets;

use gatepass_core::engine::Engine;
use gatepass_tests::checker::{Broken, explore};
use gatepass_tests::guard::Guard;

use collisions::Collision;
use explorer::{Applied, Explorer};

/// Returns true for the large check, which is too slow for every change.
pub(crate) fn large() -> bool {
    std::env::var("GATEPASS_CHECK").is_ok_and(|size| size == "large")
}

/// Opens a scenario with some guards switched off, and with so many faults at most in one run.
pub(crate) type OpenScenario = for<'a> fn(&'a Engine, &[Guard], u8) -> Explorer<'a>;

/// Every scenario: its name, and the number of faults in one run of the usual and of the large check.
pub(crate) const SCENARIOS: &[(&str, OpenScenario, u8, u8)] = &[
    ("tickets", tickets::explorer, 1, 2),
    ("an impersonation", tickets::impersonation, 1, 3),
    ("a wasted ticket", |g, off, _| tickets::wasted(g, off), 0, 0),
    ("older state put back", tickets::put_back, 1, 2),
    ("a keyed ticket", deliveries::ticket, 1, 2),
    ("a keyed ticket repeated", deliveries::repetitions, 1, 2),
    ("a keyed ticket's challenge", deliveries::challenge, 1, 2),
    ("a keyed answer", |g, off, faults| deliveries::answer(g, off, 0, faults), 1, 2),
    ("a keyed answer near the end", |g, off, faults| deliveries::answer(g, off, 4, faults), 0, 1),
    ("a keyed answer repeated", deliveries::answered, 1, 2),
    ("families", families::explorer, 1, 2),
    ("a long family", |g, off, _| families::long(g, off), 0, 0),
    ("ends of sessions", |g, off, _| families::ends(g, off), 0, 0),
    ("ends of all sessions", |g, off, _| families::ends_of_all(g, off), 0, 0),
    ("a challenge", |g, off, faults| factors::one_challenge(g, off, 0, faults), 0, 1),
    ("a challenge near its end", |g, off, faults| factors::one_challenge(g, off, 4, faults), 1, 2),
    ("one code, two challenges", |g, off, _| factors::one_code(g, off), 0, 0),
    ("guesses", |g, off, _| factors::guesses(g, off), 0, 0),
    ("locked factors", |g, off, _| factors::locked(g, off), 0, 0),
    ("a first device", |g, off, _| factors::first_device(g, off), 0, 0),
    ("a second device", |g, off, _| factors::second_device(g, off), 0, 0),
    ("an eighth device", |g, off, _| factors::eighth_device(g, off), 0, 0),
    ("guesses at a password", |g, off, _| passwords::guesses(g, off), 0, 0),
    ("guesses at a place", |g, off, _| passwords::guesses_at_a_place(g, off), 0, 0),
    ("a hash of another program", |g, off, _| passwords::of_another_program(g, off), 0, 0),
    ("users", |g, off, _| commands::users(g, off), 0, 0),
    ("officers", |g, off, _| commands::officers(g, off), 0, 0),
    ("roles that are taken", |g, off, _| roles::taken(g, off), 0, 0),
    ("roles that are given", |g, off, _| roles::given(g, off), 0, 0),
    ("roles of a client", |g, off, _| roles::of_a_client(g, off), 0, 0),
    ("clients", |g, off, _| commands::clients(g, off), 0, 0),
    ("keys", |g, off, _| commands::keys(g, off), 0, 0),
    ("chosen keys", |g, off, _| commands::chosen_keys(g, off), 0, 0),
    ("an assertion", assertions::explorer, 1, 2),
    ("issuing", commands::issuing, 1, 2),
    ("ends of clients", commands::ends_of_clients, 1, 2),
    ("a ticket's id drawn twice", |g, off, _| collisions::explorer(g, off, Collision::TicketId), 0, 0),
    ("a ticket drawn twice", |g, off, _| collisions::explorer(g, off, Collision::Ticket), 0, 0),
    ("a session's id drawn twice", |g, off, _| collisions::explorer(g, off, Collision::SessionId), 0, 0),
    ("a refresh token drawn twice", |g, off, _| collisions::explorer(g, off, Collision::FirstRefresh), 0, 0),
    ("a successor drawn twice", |g, off, _| collisions::explorer(g, off, Collision::Successor), 0, 0),
    ("a challenge drawn twice", |g, off, _| collisions::explorer(g, off, Collision::Challenge), 0, 0),
    ("a device's id drawn twice", |g, off, _| collisions::explorer(g, off, Collision::DeviceId), 0, 0),
    ("a backup code drawn twice", |g, off, _| collisions::explorer(g, off, Collision::BackupCode), 0, 0),
];

/// Guards that are needed only without another one, and a scenario in which either is enough. Ending all sessions depends
/// on the epoch of the caller, who is the user whose epoch is raised. A wrong code of a challenge is also counted for its
/// user. A password that is set ends the user's sessions.
pub(crate) const REDUNDANT: &[(Guard, Guard, &str)] = &[
    (Guard::RaisedEpochIsAsRead, Guard::UserIsOfEpoch, "ends of all sessions"),
    (Guard::AnsweredWrongIsAsRead, Guard::GuessesAreAsRead, "a challenge near its end"),
    (Guard::ReplacedHashIsAsRead, Guard::UserIsOfEpoch, "a hash of another program"),
];

/// The table of the guards: what was found without each of them.
pub(crate) const TABLE: &str = include_str!("../guards.md");

/// The findings without a guard.
pub(crate) struct Finding {
    pub(crate) scenario: &'static str,
    /// The guard that had to be off, too.
    pub(crate) beside: Option<Guard>,
    /// The promise that does not hold.
    pub(crate) broken: Broken,
    /// Commits that were applied without the guard.
    pub(crate) applied: Vec<Applied>,
}

/// Returns what breaks in a scenario with the guards `off`: the shortest counterexample, if there is one.
pub(crate) fn without(engine: &Engine, scenario: &str, off: &[Guard]) -> Option<Finding> {
    let (scenario, opens, ..) = SCENARIOS.iter().find(|(name, ..)| *name == scenario)?;
    let mut explorer = opens(engine, off, 0);
    let broken = explore(&mut explorer).broken?;
    Some(Finding { scenario, beside: off.get(1).copied(), broken, applied: explorer.applied })
}
