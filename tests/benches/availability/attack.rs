//! The attackers: each has one connection, and asks again as soon as it has its answer.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use gatepass_tests::http::{TestRequest, connect, read_answer};

use crate::place::{Place, login, ticket_signin};

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// Nobody
    Nobody,
    /// Two connections, unknown names, each from a fresh address
    TwoConnections,
    /// Unknown names, each from a fresh address
    UnknownNames,
    /// Unknown names, each from another /64 of one /48
    OneNetwork,
    /// One ticket that was redeemed, each time from a fresh address
    SpentTicket,
    /// Tickets that never were, from a fresh address each
    JunkTickets,
    /// One user on three connections, with the right password
    RightPassword,
}

impl Attack {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::TwoConnections => "unknown names, two connections",
            Self::UnknownNames => "unknown names",
            Self::OneNetwork => "unknown names of one /48",
            Self::SpentTicket => "one spent ticket",
            Self::JunkTickets => "junk tickets",
            Self::RightPassword => "a right password, three connections",
        }
    }

    /// Returns the number of its connections, where `many` are allowed.
    pub(crate) const fn connections(self, many: usize) -> usize {
        match self {
            Self::Nobody => 0,
            Self::TwoConnections => 2,
            Self::UnknownNames | Self::OneNetwork | Self::SpentTicket | Self::JunkTickets => many,
            Self::RightPassword => 3,
        }
    }

    /// Returns request `number` of attacker `attacker`. No address comes twice, but for the user's own.
    fn request(self, attacker: usize, number: u32, spent: &str) -> TestRequest {
        let attacker = u32::try_from(attacker).unwrap_or_default();
        // 16 million addresses of 11.0.0.0/8.
        let address = Ipv4Addr::from_bits(0x0b00_0000 | ((attacker << 17 | number & 0x1_ffff) & 0x00ff_ffff));
        let fresh = address.to_string();
        let nobody = format!("nobody-{attacker}-{number}");
        match self {
            Self::Nobody | Self::TwoConnections | Self::UnknownNames => login(&nobody, &fresh),
            Self::OneNetwork => {
                let network = u16::try_from((attacker << 10 | number & 0x3ff) & 0xffff).unwrap_or_default();
                let host = u16::try_from(number >> 10 & 0xffff).unwrap_or_default();
                let address = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, network, 0, 0, 0, host);
                login(&nobody, &address.to_string())
            }
            Self::SpentTicket => ticket_signin(spent, &fresh),
            Self::JunkTickets => ticket_signin(&format!("tkt_{attacker:A>21}{number:A>22}"), &fresh),
            Self::RightPassword => login("busy", "203.0.113.7"),
        }
    }

    /// Asks until it is over.
    pub(crate) fn press(self, place: &Place, attacker: usize, spent: &str, over: &AtomicBool) -> Counts {
        let (mut counts, mut number) = (Counts::default(), 0);
        while !over.load(Relaxed) {
            let mut stream = connect(place.address());
            loop {
                let request = self.request(attacker, number, spent).bytes(place.address());
                number += 1;
                let sent = stream.write_all(&request).is_ok();
                let answer = sent.then(|| read_answer(&mut stream, false)).flatten();
                let status = answer.as_ref().map_or(0, |answer| answer.status);
                *counts.0.entry(status).or_default() += 1;
                if over.load(Relaxed) {
                    return counts;
                }
                let closes = answer.is_none_or(|answer| answer.header("connection") == Some("close"));
                if closes {
                    // A server that takes no connection would be asked in vain.
                    thread::sleep(Duration::from_millis(10));
                    break;
                }
            }
        }
        counts
    }
}

/// Answers by their status; 0 is none.
#[derive(Default)]
pub(crate) struct Counts(BTreeMap<u16, u64>);

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        for (status, count) in &other.0 {
            *self.0.entry(*status).or_default() += count;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (status, count)) in self.0.iter().enumerate() {
            let before = if number == 0 { "" } else { ", " };
            let share = 100.0 * *count as f64 / self.total() as f64;
            match status {
                0 => write!(f, "{before}none {share:.1} %")?,
                status => write!(f, "{before}{status} {share:.1} %")?,
            }
        }
        Ok(())
    }
}
