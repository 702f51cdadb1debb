//! The status of a ticket, as an administrator sees it.

use crate::base::codes::codes;
use crate::base::time::Time;
use crate::records::ticket::{Ticket, TicketState};

codes! {
    /// The status of a ticket.
    TicketStatus {
        /// It was not redeemed yet.
        Live = "live",
        /// It was redeemed.
        Spent = "spent",
        /// It was withdrawn.
        Revoked = "revoked",
        /// Its time is over.
        Expired = "expired",
        /// Older state was put back since it was issued.
        Superseded = "superseded",
    }
}

/// Returns the status of a ticket at `now`, in this state epoch, and when the ticket ended.
pub fn ticket_status(ticket: &Ticket, state_epoch: u64, now: Time) -> (TicketStatus, Option<Time>) {
    match &ticket.state {
        TicketState::Spent { at, .. } => (TicketStatus::Spent, Some(*at)),
        TicketState::Revoked(at) => (TicketStatus::Revoked, Some(*at)),
        TicketState::Live if ticket.state_epoch != state_epoch => (TicketStatus::Superseded, None),
        TicketState::Live if now >= ticket.expires_at => (TicketStatus::Expired, Some(ticket.expires_at)),
        TicketState::Live => (TicketStatus::Live, None),
    }
}
