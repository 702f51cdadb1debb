//! What the audit table is told. The wording here never reaches the wire.

/// Why a credential was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No ticket of this digest.
    TicketUnknown,
}
