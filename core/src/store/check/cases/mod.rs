//! The cases, by what they are about. The first ones are the simplest, so that the first broken promise names the right change.

mod accounts;
mod challenges;
mod clients;
mod factors;
mod keys;
mod roles;
mod sessions;
mod tickets;
mod whole;

use crate::store::check::case::Entry;

pub(super) const ALL: [&[Entry]; 9] = [
    accounts::CASES,
    clients::CASES,
    tickets::CASES,
    sessions::CASES,
    challenges::CASES,
    factors::CASES,
    keys::CASES,
    whole::CASES,
    roles::CASES,
];
