//! The records of tickets and challenges that were used with an `Idempotency-Key`, and how often their answers were
//! repeated.

use gatepass_core::base::time::Time;
use gatepass_core::records::challenge::{Answered, ChallengeDigest};
use gatepass_core::records::delivery::TicketDelivery;
use gatepass_core::records::ticket::TicketDigest;
use gatepass_core::store::audit::{Event, Kind};
use rusqlite::{Connection, Row, params, params_from_iter};

use super::apply::one;
use super::audit::Tail;
use super::read::{every, ticket_row};
use super::transaction_error::TransactionError;
use crate::store::rows::{self, Columns, Value, stamp};

/// Spends a ticket that is live.
pub(super) fn spend_ticket(
    db: &Connection,
    digest: &TicketDigest,
    at: Time,
    delivery: Option<&TicketDelivery>,
) -> Result<(), TransactionError> {
    let seq = ticket_row(db, digest)?;
    if delivery.is_none() {
        let sql =
            "UPDATE tickets SET spent_at = ?2 WHERE seq = ?1 AND spent_at IS NULL AND revoked_at IS NULL";
        return one(db, sql, params![seq, stamp(at)]);
    }
    let first = [Value::from(seq), at.into()];
    one(
        db,
        "UPDATE tickets SET spent_at = ?2, delivery_request = ?3, delivery_salt = ?4, delivery_session = ?5, \
         delivery_refresh = ?6, delivery_challenge = ?7, repeated = ?8 \
         WHERE seq = ?1 AND spent_at IS NULL AND revoked_at IS NULL",
        params_from_iter(first.into_iter().chain(rows::ticket_delivery_values(delivery))),
    )
}

pub(super) fn repeat_ticket(
    db: &Connection,
    digest: &TicketDigest,
    first: bool,
) -> Result<(), TransactionError> {
    one(
        db,
        "UPDATE tickets SET repeated = min(repeated + 1, 4294967295) WHERE seq = ?1 AND spent_at IS NOT NULL \
         AND delivery_request IS NOT NULL AND (repeated = 0) = ?2",
        params![ticket_row(db, digest)?, first],
    )
}

/// Answers a challenge that is open.
pub(super) fn answer_challenge(
    db: &Connection,
    digest: &ChallengeDigest,
    wrong: u32,
    answered: &Answered,
) -> Result<(), TransactionError> {
    let first = [Value::from(&digest.0), wrong.into(), answered.at.into()];
    let delivery = rows::answer_delivery_values(answered.delivery.as_deref());
    one(
        db,
        "UPDATE challenges SET answered = 1, answered_at = ?3, delivery_request = ?4, delivery_salt = ?5, \
         delivery_session = ?6, delivery_refresh = ?7, repeated = ?8 \
         WHERE digest = ?1 AND wrong = ?2 AND answered = 0",
        params_from_iter(first.into_iter().chain(delivery)),
    )
}

pub(super) fn repeat_answer(
    db: &Connection,
    digest: &ChallengeDigest,
    wrong: u32,
    first: bool,
) -> Result<(), TransactionError> {
    one(
        db,
        "UPDATE challenges SET repeated = min(repeated + 1, 4294967295) WHERE digest = ?1 AND wrong = ?2 \
         AND delivery_request IS NOT NULL AND (repeated = 0) = ?3",
        params![digest.0, wrong, first],
    )
}

/// Writes how often the answers to tickets and challenges that expired before `before` were repeated after the first
/// time, which has a row of its own: one row each, before at most `limit` of each are deleted.
pub(super) fn record_repetitions(
    db: &Connection,
    tail: &Tail<'_>,
    (now, before, limit): (Time, i64, i64),
) -> Result<(), TransactionError> {
    for (table, id, kind) in
        [("tickets", "id", Kind::TicketRepeated), ("challenges", "ticket", Kind::ChallengeRepeated)]
    {
        let sql = format!(
            "SELECT user_id, actor, client_id, {id}, delivery_session, repeated - 1 FROM {table} WHERE seq IN \
             (SELECT seq FROM {table} WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2) AND repeated > 1"
        );
        let event = |row: &Row<'_>| {
            let mut c = Columns::of(row, if table == "tickets" { "tickets" } else { "challenges" });
            Ok(Event {
                subject: c.maybe("user_id", rows::user_id)?,
                actor: c.maybe("actor", rows::user_id)?,
                client: c.maybe("client_id", rows::client_id)?,
                ticket: c.maybe("ticket", rows::ticket_id)?,
                session: c.maybe("delivery_session", rows::session_id)?,
                count: c.small("repeated")?,
                ..Event::new(kind, now)
            })
        };
        every(db, &sql, params![before, limit], event)?
            .iter()
            .try_for_each(|event| tail.append(db, event))?;
    }
    Ok(())
}
