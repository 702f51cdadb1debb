//! The rules by which a sign-in's risk is judged.

use crate::records::risk::Signal;

/// The weight of each signal, 0 to 100; 0 switches it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    /// Every signal is switched off.
    pub const NONE: Self = Self {
        new_device: 0,
        new_network: 0,
        old_ticket: 0,
        address_mismatch: 0,
        recent_failures: 0,
        long_absence: 0,
        unusual_hour: 0,
        impersonation: 0,
        account_changed: 0,
    };

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

/// The rules about signals, and the meaning of the sum of their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RiskRules {
    /// The weight of each signal.
    pub weights: Weights,
    /// The score from which the level is medium.
    pub medium: u8,
    /// The score from which the level is high.
    pub high: u8,
    /// The score from which a second factor is asked for.
    pub second_factor: u8,
    /// The part of a ticket's life after which it is old, in per cent.
    pub old_ticket_percent: u8,
    /// The failures needed to raise `recent_failures`.
    pub failures: u32,
    /// The time in which a failure counts, in seconds.
    pub failure_window: u32,
    /// The absence that raises `long_absence`, in seconds.
    pub absence: u32,
    /// The time after which an unseen device or network is new again, in seconds.
    pub place_life: u32,
    /// The sign-ins after which a person's usual hours are known.
    pub known_sign_ins: u32,
    /// The time in which a change of the account counts, in seconds.
    pub change_window: u32,
}

impl RiskRules {
    /// The defaults. A new device alone asks for a second factor; most other signals need company.
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
