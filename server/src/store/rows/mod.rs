//! Rows and records: the translation that every engine shares.
//!
//! An engine reads a [`Row`] by [`Columns`] and a decoder, such as [`user()`]. It writes the [`Value`]s of an encoder, such as
//! [`user_values`]. `columns!` names the columns of each table in the order of both. What does not decode is a [`MalformedRow`].

mod audit;
mod challenge;
mod client;
mod delivery;
mod device;
mod history;
mod key;
mod password;
mod row;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod ticket;
mod user;
mod value;

#[cfg(feature = "postgres")]
pub(super) use audit::audit_value;
pub(super) use audit::event;
pub(super) use challenge::{challenge, challenge_values};
pub(super) use client::{client, client_values, secret, secret_values};
pub(super) use delivery::{answer_delivery_values, delivery_of, ticket_delivery_values};
pub(super) use device::{device, device_purpose, device_values};
pub(super) use history::{history, history_values};
pub(super) use key::{key_purpose, key_record, key_record_values};
pub(super) use password::{lockout_values, password, password_values};
pub(super) use row::{Columns, MalformedRow, NO_META, Row};
pub(super) use session::{refresh_token, refresh_token_values, session, session_values};
pub(super) use text::{client_id, owned, session_id, ticket_id, user_id};
pub(super) use ticket::{ticket, ticket_values};
pub(super) use user::{user, user_values};
pub(super) use value::{Value, integer, stamp};

/// The columns of a table, as a literal for `concat!`, in the order of its decoder and its encoder. A list with `_values` lacks the key
/// that tells whose row it is. The list `device_values` lacks the sealed secret, which the decoder reads last.
macro_rules! columns {
    (users) => {
        concat!("id, ", columns!(user_values))
    };
    (user_values) => {
        "username, email, phone, name, gender, address, status, must_change_password, created_at, \
         updated_at, epoch, revision, password_changed_at, second_factor, roles"
    };
    (clients) => {
        concat!("id, ", columns!(client_values))
    };
    (client_values) => {
        "name, scope, default_scope, audiences, enabled, token_lifetime, user_token_lifetime, created_at, \
         revision, second_factor, epoch, trusted_context, roles, jwks, signing_algorithm"
    };
    (client_secrets) => {
        "id, digest, created_at, expires_at, last_used_at"
    };
    (tickets) => {
        "id, digest, user_id, client_id, issuer, for_audience, bind, scope, client_ip, actor, reason, \
         issued_at, expires_at, spent_at, revoked_at, state_epoch, delivery_request, delivery_salt, delivery_session, \
         delivery_refresh, delivery_challenge, repeated, client_epoch, issuer_epoch"
    };
    (sessions) => {
        "id, user_id, user_epoch, actor, actor_epoch, client_id, bind, for_audience, purpose, scope, \
         auth_time, methods, expires_at, ended_at, state_epoch, client_epoch, issuer, issuer_epoch, signed_in_at"
    };
    (refresh_tokens) => {
        "digest, session, issued_at, expires_at, used_at, salt, successor, number, refreshes, recorded_at"
    };
    (challenges) => {
        "digest, user_id, user_epoch, actor_epoch, actor, reason, client_id, for_audience, bind, scope, methods, ticket, \
         device, network, expires_at, wrong, answered, state_epoch, answered_at, delivery_request, delivery_salt, \
         delivery_session, delivery_refresh, repeated, client_epoch, issuer, issuer_epoch, issued_at"
    };
    (totp_devices) => {
        concat!(columns!(device_values), ", sealed")
    };
    (device_values) => {
        "id, user_id, name, hash, digits, created_at, verified_at, verified_by, last_step, vouched_for"
    };
    (passwords) => {
        concat!("user_id, ", columns!(password_values))
    };
    (password_values) => {
        concat!("hash, ", columns!(lockout_values))
    };
    (habits) => {
        concat!("user_id, ", columns!(habit_values))
    };
    (habit_values) => {
        "hours, places, failures, lockouts"
    };
    (factor_guesses) => {
        concat!("user_id, ", columns!(lockout_values))
    };
    (lockout_values) => {
        "wrong, locks, locked_until"
    };
    (keys) => {
        "kid, alg, state, created_at, beside, retire_from"
    };
}
pub(super) use columns;
