//! What a sign-in's risk is judged by.

use crate::records::risk::Signal;

/// What each signal weighs, 0 to 100; 0 switches it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// [`Signal::NewDevice`]
    pub new_device: u8,
    /// [`Signal::NewNetwork`]
    pub new_network: u8,
    /// [`Signal::OldTicket`]
    pub old_ticket: u8,
    /// [`Signal::AddressMismatch`]
    pub address_mismatch: u8,
    /// [`Signal::RecentFailures`]
    pub recent_failures: u8,
    /// [`Signal::LongAbsence`]
    pub long_absence: u8,
    /// [`Signal::UnusualHour`]
    pub unusual_hour: u8,
    /// [`Signal::Impersonation`]
    pub impersonation: u8,
    /// [`Signal::AccountChanged`]
    pub account_changed: u8,
}

impl Weights {
    pub(crate) const fn of(&self, signal: Signal) -> u8 {
        match signal {
            Signal::NewDevice => self.new_device,
            Signal::NewNetwork => self.new_network,
            Signal::OldTicket => self.old_ticket,
            Signal::AddressMismatch => self.address_mismatch,
            Signal::RecentFailures => self.recent_failures,
            Signal::LongAbsence => self.long_absence,
            Signal::UnusualHour => self.unusual_hour,
            Signal::Impersonation => self.impersonation,
            Signal::AccountChanged => self.account_changed,
        }
    }
}

/// What counts as a signal, and what the sum of their weights means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskRules {
    /// What each signal weighs.
    pub weights: Weights,
    /// From this score on the level is medium.
    pub medium: u8,
    /// From this score on the level is high.
    pub high: u8,
    /// From this score on a second factor is asked for.
    pub second_factor: u8,
    /// A ticket is old once this much of its life has passed, in per cent.
    pub old_ticket_percent: u8,
    /// So many failures are several.
    pub failures: u32,
    /// How long a failure counts, in seconds.
    pub failure_window: u32,
    /// An absence is long from here on, in seconds.
    pub absence: u32,
    /// A place that was not seen for so long is new again, in seconds.
    pub place_life: u32,
    /// After so many sign-ins a person's hours are known.
    pub known_sign_ins: u32,
    /// How long a change of the account counts, in seconds.
    pub change_window: u32,
}

impl RiskRules {
    /// The defaults: a new device alone is enough for a second factor, and little else is.
    pub const DEFAULT: Self = Self {
        weights: Weights {
            new_device: 40,
            new_network: 15,
            old_ticket: 10,
            address_mismatch: 30,
            recent_failures: 25,
            long_absence: 15,
            unusual_hour: 10,
            impersonation: 30,
            account_changed: 15,
        },
        medium: 30,
        high: 60,
        second_factor: 40,
        old_ticket_percent: 80,
        failures: 3,
        failure_window: 900,
        absence: 90 * 86_400,
        place_life: 180 * 86_400,
        known_sign_ins: 20,
        change_window: 86_400,
    };
}
