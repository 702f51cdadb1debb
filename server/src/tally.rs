//! Refusals of garbage, counted: one audit row per address, kind and minute instead of one per request, and a
//! bounded number of rows in a minute, so that nobody fills the disk with them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use gatepass_core::audit::{Event, Kind, Refusal};
use gatepass_core::time::Time;

use crate::peers::source;

/// The most rows of one minute that name an address. Who comes after is counted in rows without one, of which
/// there are as many as there are kinds of refusal.
const NAMED_ROWS: usize = 64;

/// The refusals of the minute that is running, and those of finished ones that nobody has fetched yet.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    minute: u64,
    running: BTreeMap<(Option<IpAddr>, Refusal), u32>,
    finished: Vec<Event>,
}

/// The most finished rows kept for a store that does not take them; past it the newest minute's are dropped,
/// since a store in that state loses more than counts.
const FINISHED_ROWS: usize = 16 * NAMED_ROWS;

impl Tally {
    /// Counts one `refusal` of a request from `address` at `now`. IPv6 addresses count by their /64.
    pub fn record(&self, address: IpAddr, refusal: Refusal, now: Time) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.turn(now);
        let mut row = (Some(source(address)), refusal);
        if counts.running.len() >= NAMED_ROWS && !counts.running.contains_key(&row) {
            row.0 = None;
        }
        let count = counts.running.entry(row).or_default();
        *count = count.saturating_add(1);
    }

    /// The rows of every minute that is over at `now`, each handed out once.
    pub fn finished(&self, now: Time) -> Vec<Event> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.turn(now);
        std::mem::take(&mut counts.finished)
    }

    /// Every row there is at `now`, the running minute's too: for the end of the process.
    pub fn rest(&self, now: Time) -> Vec<Event> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.close(now);
        std::mem::take(&mut counts.finished)
    }
}

impl Counts {
    /// Begins the minute of `now`, where that is another one.
    fn turn(&mut self, now: Time) {
        let minute = now.unix() / 60;
        if minute != self.minute {
            self.close(now);
            self.minute = minute;
        }
    }

    fn close(&mut self, now: Time) {
        // A row is of the last second that it may count.
        let at = Time::from_unix(self.minute * 60 + 59).min(now);
        for ((address, refusal), count) in std::mem::take(&mut self.running) {
            if self.finished.len() < FINISHED_ROWS {
                let event =
                    Event { address, refusal: Some(refusal), count, ..Event::new(Kind::Refusals, at) };
                self.finished.push(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(events: &[Event]) -> Vec<(String, &'static str, u32, u64)> {
        let row = |event: &Event| {
            assert_eq!(event.kind, Kind::Refusals);
            let address = event.address.map(|address| address.to_string()).unwrap_or_default();
            (address, event.refusal.unwrap().as_str(), event.count, event.at.unix())
        };
        events.iter().map(row).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_row_per_address_kind_and_minute() {
        let tally = Tally::default();
        for (address, refusal, at) in [
            ("192.0.2.1", Refusal::TicketUnknown, 60),
            ("192.0.2.1", Refusal::TicketUnknown, 119),
            ("192.0.2.1", Refusal::Malformed, 61),
            ("2001:db8::1", Refusal::Malformed, 62),
            ("2001:db8::2", Refusal::Malformed, 63),
        ] {
            tally.record(ip(address), refusal, Time::from_unix(at));
        }
        assert!(tally.finished(Time::from_unix(119)).is_empty());
        tally.record(ip("192.0.2.1"), Refusal::TicketUnknown, Time::from_unix(120));
        assert_eq!(
            rows(&tally.finished(Time::from_unix(120))),
            [
                ("192.0.2.1".into(), "malformed", 1, 119),
                ("192.0.2.1".into(), "ticket-unknown", 2, 119),
                ("2001:db8::".into(), "malformed", 2, 119),
            ]
        );
        assert!(tally.finished(Time::from_unix(120)).is_empty(), "handed out once");
        assert_eq!(rows(&tally.rest(Time::from_unix(130))), [("192.0.2.1".into(), "ticket-unknown", 1, 130)]);
    }

    #[test]
    fn a_flood_of_addresses_is_a_bounded_number_of_rows() {
        let tally = Tally::default();
        for minute in 0..100u64 {
            for n in 0..1_000u32 {
                let address = IpAddr::from(n.to_be_bytes());
                tally.record(address, Refusal::TicketUnknown, Time::from_unix(minute * 60));
            }
        }
        let events = tally.rest(Time::from_unix(100 * 60));
        assert!(events.len() <= FINISHED_ROWS);
        let first: u32 = events.iter().filter(|event| event.at.unix() == 59).map(|event| event.count).sum();
        assert_eq!(first, 1_000, "nothing of the minute is lost");
        assert_eq!(events.iter().filter(|event| event.at.unix() == 59).count(), NAMED_ROWS + 1);
    }
}
