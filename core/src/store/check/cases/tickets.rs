//! Tickets: spent once, revoked once, repeated as often as read.

use alloc::boxed::Box;

use crate::records::challenge::Challenge;
use crate::records::client::ClientRef;
use crate::records::delivery::TicketResult;
use crate::records::session::Session;
use crate::records::ticket::{Impersonation, Ticket, TicketState};
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::{NOW, Sample, scope};

fn to_session(s: &Sample) -> Change {
    s.spend_for(1, TicketResult::Session(s.opened(1)))
}

/// A ticket that names everyone a ticket can name.
fn full(s: &Sample) -> Ticket {
    Ticket {
        issuer: Some(s.client("backend").reference()),
        for_audience: true,
        bind: true,
        scope: scope("profile email"),
        client_ip: Some([192, 0, 2, 7].into()),
        impersonation: Some(Impersonation { actor: s.user_id("boss"), reason: "因为 4711".into() }),
        state_epoch: s.state_epoch.saturating_add(7),
        client_epoch: None,
        ..s.ticket(1)
    }
}

pub(super) const CASES: &[Entry] = &[
    ("a ticket is inserted", |s| Case::applies([], [s.issue(1)])),
    ("a ticket that names everyone is inserted", |s| Case::applies([], [Change::InsertTicket(full(s))])),
    ("a ticket of somebody who is not there is inserted", |s| {
        Case::applies([], [Change::InsertTicket(Ticket { user_id: s.user_id("nobody"), ..s.ticket(1) })])
    }),
    ("two tickets are inserted, spent one and revoked the other", |s| {
        let spent = TicketState::Spent { at: NOW, delivery: None };
        let revoked = TicketState::Revoked(NOW);
        let with = |number, state| Change::InsertTicket(Ticket { state, ..s.ticket(number) });
        Case::applies([], [with(1, spent), with(2, revoked)])
    }),
    ("a ticket is inserted whose id is taken", |s| {
        Case::conflicts([s.issue(1)], [Change::InsertTicket(Ticket { id: s.ticket(1).id, ..s.ticket(2) })])
    }),
    ("a ticket is inserted whose digest is taken", |s| {
        Case::conflicts(
            [s.issue(1)],
            [Change::InsertTicket(Ticket { digest: s.ticket(1).digest, ..s.ticket(2) })],
        )
    }),
    ("a live ticket is spent", |s| Case::applies([s.issue(1), s.issue(2)], [s.spend(1)])),
    ("a spent ticket is spent again", |s| Case::conflicts([s.issue(1), s.spend(1)], [s.spend(1)])),
    ("a revoked ticket is spent", |s| Case::conflicts([s.issue(1), s.revoke(1)], [s.spend(1)])),
    ("a ticket that is not there is spent", |s| Case::conflicts([], [s.spend(1)])),
    ("a live ticket is revoked", |s| Case::applies([s.issue(1), s.issue(2)], [s.revoke(1)])),
    ("a revoked ticket is revoked again", |s| Case::conflicts([s.issue(1), s.revoke(1)], [s.revoke(1)])),
    ("a spent ticket is revoked", |s| Case::conflicts([s.issue(1), s.spend(1)], [s.revoke(1)])),
    ("a ticket that is not there is revoked", |s| Case::conflicts([], [s.revoke(1)])),
    ("a ticket is spent with a key, for a session", |s| {
        Case::applies([s.issue(1), s.begin(1)], [to_session(s)])
    }),
    ("a ticket is spent with a key, for a session that is not there", |s| {
        Case::applies([s.issue(1)], [to_session(s)])
    }),
    ("a ticket is spent with a key, for a session without a refresh token", |s| {
        let mut opened = s.opened(1);
        opened.refresh = None;
        let begin = Change::InsertSession { session: s.session(1), refresh: None };
        Case::applies([s.issue(1)], [s.spend_for(1, TicketResult::Session(opened)), begin])
    }),
    ("a ticket is spent with a key, for a challenge", |s| {
        Case::applies(
            [s.issue(1), s.ask(1)],
            [s.spend_for(1, TicketResult::Challenge(s.challenge_digest(1)))],
        )
    }),
    ("the answer to a ticket is repeated first", |s| {
        Case::applies([s.issue(1), to_session(s)], [s.repeat(1, true)])
    }),
    ("the answer to a ticket is repeated once more", |s| {
        Case::applies(
            [s.issue(1), to_session(s), s.repeat(1, true)],
            [s.repeat(1, false), s.repeat(1, false)],
        )
    }),
    ("the answer to a ticket is repeated as the first time, though it was repeated before", |s| {
        Case::conflicts([s.issue(1), to_session(s), s.repeat(1, true)], [s.repeat(1, true)])
    }),
    ("the answer to a ticket is repeated as once more, though it never was", |s| {
        Case::conflicts([s.issue(1), to_session(s)], [s.repeat(1, false)])
    }),
    ("the answer to a ticket that was spent without a key is repeated", |s| {
        Case::conflicts([s.issue(1), s.spend(1)], [s.repeat(1, true)])
    }),
    ("the answer to a live ticket is repeated", |s| Case::conflicts([s.issue(1)], [s.repeat(1, true)])),
    ("the answer to a revoked ticket is repeated", |s| {
        Case::conflicts([s.issue(1), s.revoke(1)], [s.repeat(1, true)])
    }),
    ("the answer to a ticket that is not there is repeated", |s| Case::conflicts([], [s.repeat(1, true)])),
    ("a ticket is read with everyone it names", |s| {
        let named = Ticket { impersonation: None, ..full(s) };
        let own = ClientRef { id: s.client_id("portal"), epoch: 0 };
        let by_itself = Ticket { issuer: Some(own), ..s.ticket(2) };
        let of_nobody = Ticket {
            user_id: s.user_id("nobody"),
            client_id: s.client_id("nobody"),
            impersonation: Some(Impersonation { actor: s.user_id("nobody"), reason: "x".into() }),
            ..s.ticket(3)
        };
        let acted = Ticket { id: s.ticket(4).id, digest: s.ticket(4).digest, ..full(s) };
        let tickets = [named, by_itself, of_nobody, acted].map(Change::InsertTicket);
        Case::reads(tickets.into_iter().chain([s.enrol(1), s.set_password(1), s.learn(1, NOW), s.fail(NOW)]))
    }),
    ("a ticket's challenge is found as it is now", |s| {
        let spend = s.spend_for(1, TicketResult::Challenge(s.challenge_digest(1)));
        let challenge = Challenge { wrong: 2, ..s.challenge(1) };
        Case::reads([s.issue(1), spend, Change::InsertChallenge(challenge), s.answer(1, 2)])
    }),
    ("a ticket's session is found as it is now", |s| {
        let session = Session { bind: true, ..s.session(1) };
        let delivered = Box::new([
            s.issue(1),
            to_session(s),
            s.begin_session(session, 1),
            s.rotate(1, 2, 1, 1),
            s.end(1),
        ]);
        Case::reads(*delivered)
    }),
];
