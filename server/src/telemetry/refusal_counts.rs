//! Counts of refusals: one audit row per address, reason and minute instead of one per request, and a bounded number of
//! rows in a minute, so that nobody fills the disk with them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use std::sync::Arc;

use gatepass_core::base::time::Time;
use gatepass_core::records::id::{ClientId, SessionId, TicketId, UserId};
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_core::store::change::Change;

use crate::net::client_address::source;

/// The most rows of one minute that name an address. Further addresses are counted in rows without one, of which there
/// are as many as there are reasons.
const NAMED_ROWS: usize = 64;

/// The most subjects of which refusals are counted apart in one minute. Those of further subjects are counted by their kind
/// alone.
const SUBJECTS: usize = 256;

/// The refusals of the running minute, and those of finished ones that were not fetched yet.
#[derive(Debug, Default)]
pub struct RefusalCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    minute: u64,
    running: BTreeMap<(Option<IpAddr>, Option<ClientId>, Refusal), u32>,
    /// Refusals with a row of their own in this minute, and how often each came again.
    repeated: BTreeMap<(Kind, Refusal, About), (Event, u32)>,
    finished: Vec<Event>,
}

/// The thing that a refusal is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Ticket(TicketId),
    Session(SessionId),
    Subject(UserId),
    Client(ClientId),
    /// Nothing, or one beyond the limit.
    Other,
}

impl About {
    fn of(event: &Event) -> Self {
        let ticket = event.ticket.clone().map(Self::Ticket);
        let session = || event.session.clone().map(Self::Session);
        let subject = || event.subject.clone().map(Self::Subject);
        let client = || event.client.clone().map(Self::Client);
        ticket.or_else(session).or_else(subject).or_else(client).unwrap_or(Self::Other)
    }
}

/// The treatment of a commit whose audit row repeats one of this minute.
#[derive(Debug)]
pub enum Repeated {
    /// It is counted, and not written.
    Counted,
    /// It is counted, and something is written that takes as long as the row: the time of the answer must not show if
    /// the user exists.
    Written(Arc<[Change]>),
}

/// The most finished rows kept for a store that does not take them; beyond it the newest minute's are dropped, since a
/// store in that state loses more than counts.
const FINISHED_ROWS: usize = 16 * NAMED_ROWS;

impl RefusalCounts {
    /// Counts one `refusal` of a request from `address` at `now`, in the name of `client` where that is an existing one. IPv6
    /// addresses count by their /64.
    pub fn record(&self, address: IpAddr, client: Option<&ClientId>, refusal: Refusal, now: Time) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.turn(now);
        let mut row = (Some(source(address)), client.cloned(), refusal);
        if counts.running.len() >= NAMED_ROWS && !counts.running.contains_key(&row) {
            row.0 = None;
        }
        // A flood of addresses hides no client, unless there are very many of those.
        if counts.running.len() >= 2 * NAMED_ROWS && !counts.running.contains_key(&row) {
            row.1 = None;
        }
        let count = counts.running.entry(row).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a commit that consists of the row of a refusal, if a row of this minute says the same already; none for
    /// the first of its minute, or another commit.
    pub fn repeats(&self, changes: &[Change]) -> Option<Repeated> {
        let [Change::Audit(event)] = changes else { return None };
        let refusal = event.refusal?;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.turn(event.at);
        let mut key = (event.kind, refusal, About::of(event));
        if counts.repeated.len() >= SUBJECTS && !counts.repeated.contains_key(&key) {
            key.2 = About::Other;
        }
        let Some((row, count)) = counts.repeated.get_mut(&key) else {
            counts.repeated.insert(key, (event.clone(), 0));
            return None;
        };
        *count = count.saturating_add(1);
        row.keep_what_is_common(event);
        drop(counts);
        if event.kind == Kind::PasswordRefused {
            return Some(Repeated::Written(Arc::from([Change::DummyWrite])));
        }
        Some(Repeated::Counted)
    }

    /// Returns the rows of every minute that is over at `now`, each once.
    pub fn finished(&self, now: Time) -> Vec<Event> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.turn(now);
        std::mem::take(&mut counts.finished)
    }

    /// Returns every row at `now`, the running minute's too: for the end of the process.
    pub fn rest(&self, now: Time) -> Vec<Event> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.close(now);
        std::mem::take(&mut counts.finished)
    }
}

impl Counts {
    /// Begins the minute of `now`, if it is another one.
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
        for (event, count) in std::mem::take(&mut self.repeated).into_values() {
            if count > 0 && self.finished.len() < FINISHED_ROWS {
                self.finished.push(Event { at, count, ..event });
            }
        }
        for ((address, client, refusal), count) in std::mem::take(&mut self.running) {
            if self.finished.len() < FINISHED_ROWS {
                let event = Event {
                    address,
                    client,
                    refusal: Some(refusal),
                    count,
                    ..Event::new(Kind::Refusals, at)
                };
                self.finished.push(event);
            }
        }
    }
}

/// A row that stands for several.
trait Common {
    /// Keeps what `other` has in common.
    fn keep_what_is_common(&mut self, other: &Event);
}

impl Common for Event {
    fn keep_what_is_common(&mut self, other: &Event) {
        fn common<T: PartialEq>(kept: &mut Option<T>, other: &Option<T>) {
            if kept != other {
                *kept = None;
            }
        }
        common(&mut self.subject, &other.subject);
        common(&mut self.actor, &other.actor);
        common(&mut self.client, &other.client);
        common(&mut self.ticket, &other.ticket);
        common(&mut self.session, &other.session);
        common(&mut self.key, &other.key);
        common(&mut self.address, &other.address);
        common(&mut self.stated_by, &other.stated_by);
        common(&mut self.peer, &other.peer);
        common(&mut self.by_user, &other.by_user);
        common(&mut self.by_client, &other.by_client);
        common(&mut self.reason, &other.reason);
        common(&mut self.risk, &other.risk);
        common(&mut self.request, &other.request);
        common(&mut self.sent_request, &other.sent_request);
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
        let counts = RefusalCounts::default();
        for (address, refusal, at) in [
            ("192.0.2.1", Refusal::TicketUnknown, 60),
            ("192.0.2.1", Refusal::TicketUnknown, 119),
            ("192.0.2.1", Refusal::Malformed, 61),
            ("2001:db8::1", Refusal::Malformed, 62),
            ("2001:db8::2", Refusal::Malformed, 63),
        ] {
            counts.record(ip(address), None, refusal, Time::from_unix(at));
        }
        assert!(counts.finished(Time::from_unix(119)).is_empty());
        counts.record(ip("192.0.2.1"), None, Refusal::TicketUnknown, Time::from_unix(120));
        assert_eq!(
            rows(&counts.finished(Time::from_unix(120))),
            [
                ("192.0.2.1".into(), "malformed", 1, 119),
                ("192.0.2.1".into(), "ticket-unknown", 2, 119),
                ("2001:db8::".into(), "malformed", 2, 119),
            ]
        );
        assert!(counts.finished(Time::from_unix(120)).is_empty(), "handed out once");
        assert_eq!(
            rows(&counts.rest(Time::from_unix(130))),
            [("192.0.2.1".into(), "ticket-unknown", 1, 130)]
        );
    }

    #[test]
    fn a_flood_of_addresses_is_a_bounded_number_of_rows() {
        let counts = RefusalCounts::default();
        for minute in 0..100u64 {
            for n in 0..1_000u32 {
                let address = IpAddr::from(n.to_be_bytes());
                counts.record(address, None, Refusal::TicketUnknown, Time::from_unix(minute * 60));
            }
        }
        let events = counts.rest(Time::from_unix(100 * 60));
        assert!(events.len() <= FINISHED_ROWS);
        let first: u32 = events.iter().filter(|event| event.at.unix() == 59).map(|event| event.count).sum();
        assert_eq!(first, 1_000, "nothing of the minute is lost");
        assert_eq!(events.iter().filter(|event| event.at.unix() == 59).count(), NAMED_ROWS + 1);
    }

    #[test]
    fn a_client_with_a_wrong_secret_is_named_in_any_flood_and_fills_no_table() {
        let counts = RefusalCounts::default();
        let client = |n: u32| ClientId::parse(&format!("svc-{n}")).ok();
        let now = Time::from_unix(60);
        for n in 0..1_000u32 {
            counts.record(IpAddr::from(n.to_be_bytes()), None, Refusal::TicketUnknown, now);
        }
        for n in 0..50u32 {
            let svc = client(1);
            counts.record(IpAddr::from(n.to_be_bytes()), svc.as_ref(), Refusal::ClientSecretWrong, now);
        }
        for n in 2..1_000 {
            counts.record(ip("192.0.2.1"), client(n).as_ref(), Refusal::ClientInactive, now);
        }
        let rows = counts.rest(now);
        assert!(rows.len() <= 2 * NAMED_ROWS + Refusal::ALL.len(), "{}", rows.len());
        let counted: u32 = rows.iter().filter(|row| row.client == client(1)).map(|row| row.count).sum();
        assert_eq!(counted, 50);
        assert_eq!(rows.iter().map(|row| row.count).sum::<u32>(), 1_000 + 50 + 998);
    }

    fn refused(ticket: &str, address: &str, at: u64) -> Event {
        Event {
            ticket: TicketId::parse(ticket).ok(),
            address: address.parse().ok(),
            refusal: Some(Refusal::TicketSpent),
            ..Event::new(Kind::TicketRefused, Time::from_unix(at))
        }
    }

    #[test]
    fn what_is_refused_again_within_a_minute_is_counted() {
        let counts = RefusalCounts::default();
        let again = |event: Event| counts.repeats(&[Change::Audit(event)]).is_some();
        assert!(!again(refused("tid_1", "192.0.2.1", 60)), "the first is a row");
        assert!((0..499).all(|_| again(refused("tid_1", "192.0.2.1", 61))));
        assert!(!again(refused("tid_2", "192.0.2.1", 62)), "of another ticket");
        assert!(again(refused("tid_2", "192.0.2.2", 63)));
        let other = Event { refusal: Some(Refusal::TicketExpired), ..refused("tid_1", "192.0.2.1", 64) };
        assert!(!again(other), "for another reason");
        assert!(counts.finished(Time::from_unix(119)).is_empty());
        assert!(!again(refused("tid_1", "192.0.2.1", 120)), "in another minute");
        let rows = counts.finished(Time::from_unix(120));
        let rows: Vec<_> = rows.iter().map(|e| (e.ticket.clone(), e.address, e.count, e.at.unix())).collect();
        let ticket = |id| TicketId::parse(id).ok();
        assert_eq!(
            rows,
            [(ticket("tid_1"), Some(ip("192.0.2.1")), 499, 119), (ticket("tid_2"), None, 1, 119)]
        );
    }

    #[test]
    fn a_commit_that_changes_something_or_refuses_nothing_is_never_counted() {
        let counts = RefusalCounts::default();
        let event = refused("tid_1", "192.0.2.1", 60);
        let spends = [Change::Probe, Change::Audit(event.clone())];
        let issued = [Change::Audit(Event { refusal: None, ..event })];
        assert!((0..3).all(|_| counts.repeats(&spends).is_none() && counts.repeats(&issued).is_none()));
    }

    #[test]
    fn a_flood_of_subjects_is_a_bounded_number_of_rows_and_of_memory() {
        let counts = RefusalCounts::default();
        let rows = (0..10_000).filter(|n| {
            counts.repeats(&[Change::Audit(refused(&format!("tid_{n}"), "192.0.2.1", 60))]).is_none()
        });
        assert_eq!(rows.count(), SUBJECTS + 1);
        let rows = counts.rest(Time::from_unix(61));
        assert_eq!(rows.iter().map(|event| event.count).sum::<u32>() as usize, 10_000 - SUBJECTS - 1);
        assert!(rows.len() == 1 && rows[0].ticket.is_none());
    }

    #[test]
    fn who_is_locked_out_is_answered_no_sooner_than_nobody() {
        let counts = RefusalCounts::default();
        let subject = UserId::parse("usr_1").ok();
        let refusal = Some(Refusal::PasswordLocked);
        let event = Event { subject, refusal, ..Event::new(Kind::PasswordRefused, Time::from_unix(60)) };
        assert!(counts.repeats(&[Change::Audit(event.clone())]).is_none());
        let Some(Repeated::Written(instead)) = counts.repeats(&[Change::Audit(event)]) else { panic!() };
        assert_eq!(*instead, [Change::DummyWrite]);
    }
}
