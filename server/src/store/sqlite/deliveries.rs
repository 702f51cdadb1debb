//! The records of tickets and challenges that were used with an `Idempotency-Key`, and how often their answers were
//! repeated.

use gatepass_core::base::time::Time;
use gatepass_core::records::challenge::{Answered, ChallengeDigest};
use gatepass_core::records::delivery::{
    AnswerDelivery, Delivery, OpenedSession, RequestDigest, TicketDelivery, TicketResult,
};
use gatepass_core::records::session::{RefreshDigest, Salt};
use gatepass_core::records::ticket::{Ticket, TicketDigest, TicketState};
use gatepass_core::store::audit::{Event, Kind};
use rusqlite::{Connection, Row, params};

use super::apply::one;
use super::audit::Tail;
use super::read::{every, ticket_row};
use super::rows::{self, Columns, stamp};
use super::transaction_error::TransactionError;

/// The values of the columns of one delivery.
#[derive(Default)]
pub(super) struct DeliveryColumns<'a> {
    pub(super) request: Option<[u8; 32]>,
    pub(super) salt: Option<[u8; 32]>,
    pub(super) session: Option<&'a str>,
    pub(super) refresh: Option<[u8; 32]>,
    pub(super) challenge: Option<[u8; 32]>,
    pub(super) repeated: u32,
}

impl<'a> DeliveryColumns<'a> {
    fn of<R>(delivery: &Delivery<R>) -> Self {
        Self {
            request: Some(delivery.request.0),
            salt: Some(delivery.salt.0),
            repeated: delivery.repeated,
            ..Self::default()
        }
    }

    fn with(self, opened: &'a OpenedSession) -> Self {
        let refresh = opened.refresh.map(|refresh| refresh.0);
        Self { session: Some(opened.id.as_str()), refresh, ..self }
    }

    pub(super) fn of_ticket(delivery: Option<&'a TicketDelivery>) -> Self {
        let Some(delivery) = delivery else { return Self::default() };
        match &delivery.result {
            TicketResult::Session(opened) => Self::of(delivery).with(opened),
            TicketResult::Challenge(digest) => Self { challenge: Some(digest.0), ..Self::of(delivery) },
        }
    }

    pub(super) fn of_answer(answered: Option<&'a Answered>) -> Self {
        let delivery = answered.and_then(|answered| answered.delivery.as_ref());
        delivery.map_or_else(Self::default, |delivery| Self::of(&**delivery).with(&delivery.result))
    }
}

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
    let columns = DeliveryColumns::of_ticket(delivery);
    one(
        db,
        "UPDATE tickets SET spent_at = ?2, delivery_request = ?3, delivery_salt = ?4, delivery_session = ?5, \
         delivery_refresh = ?6, delivery_challenge = ?7, repeated = ?8 \
         WHERE seq = ?1 AND spent_at IS NULL AND revoked_at IS NULL",
        params![
            seq,
            stamp(at),
            columns.request,
            columns.salt,
            columns.session,
            columns.refresh,
            columns.challenge,
            columns.repeated
        ],
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
    let columns = DeliveryColumns::of_answer(Some(answered));
    one(
        db,
        "UPDATE challenges SET answered = 1, answered_at = ?3, delivery_request = ?4, delivery_salt = ?5, \
         delivery_session = ?6, delivery_refresh = ?7, repeated = ?8 \
         WHERE digest = ?1 AND wrong = ?2 AND answered = 0",
        params![
            digest.0,
            wrong,
            stamp(answered.at),
            columns.request,
            columns.salt,
            columns.session,
            columns.refresh,
            columns.repeated
        ],
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

/// Reads the next columns of a ticket: its delivery.
pub(super) fn ticket_delivery(c: &mut Columns<'_>) -> Result<Option<TicketDelivery>, TransactionError> {
    let Some((request, salt)) = request(c)? else { return nothing(c, 4) };
    let opened = opened(c)?;
    let challenge = c.maybe_bytes("delivery_challenge")?.map(ChallengeDigest);
    let result = match (opened, challenge) {
        (Some(opened), None) => TicketResult::Session(opened),
        (None, Some(digest)) => TicketResult::Challenge(digest),
        (Some(_), Some(_)) | (None, None) => return Err(c.unreadable("delivery_challenge")),
    };
    Ok(Some(Delivery { request, salt, result, repeated: c.small("repeated")? }))
}

/// Reads the next columns of a challenge: its delivery.
pub(super) fn answer_delivery(c: &mut Columns<'_>) -> Result<Option<AnswerDelivery>, TransactionError> {
    let Some((request, salt)) = request(c)? else { return nothing(c, 3) };
    let result = opened(c)?.ok_or_else(|| c.unreadable("delivery_session"))?;
    Ok(Some(Delivery { request, salt, result, repeated: c.small("repeated")? }))
}

/// Skips the columns of a delivery that is absent.
fn nothing<T>(c: &mut Columns<'_>, columns: usize) -> Result<Option<T>, TransactionError> {
    c.skip(columns);
    Ok(None)
}

/// Reads the digest of the request and the salt; none if there was no delivery.
fn request(c: &mut Columns<'_>) -> Result<Option<(RequestDigest, Salt)>, TransactionError> {
    match (c.maybe_bytes("delivery_request")?, c.maybe_bytes("delivery_salt")?) {
        (Some(request), Some(salt)) => Ok(Some((RequestDigest(request), Salt(salt)))),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(c.unreadable("delivery_salt")),
    }
}

fn opened(c: &mut Columns<'_>) -> Result<Option<OpenedSession>, TransactionError> {
    let id = c.maybe("delivery_session", rows::session_id)?;
    let refresh = c.maybe_bytes("delivery_refresh")?.map(RefreshDigest);
    match (id, refresh) {
        (Some(id), refresh) => Ok(Some(OpenedSession { id, refresh })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(c.unreadable("delivery_refresh")),
    }
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

/// Returns the delivery of `ticket`, if it has one.
pub(super) fn of_ticket(ticket: &Ticket) -> Option<&TicketDelivery> {
    match &ticket.state {
        TicketState::Spent { delivery, .. } => delivery.as_deref(),
        TicketState::Live | TicketState::Revoked(_) => None,
    }
}
