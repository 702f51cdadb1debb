//! The risk of a sign-in: signals, each with a weight, added up.

use alloc::vec::Vec;

use crate::base::time::Time;
use crate::records::risk::{Assessment, Level, Signal};
use crate::records::sign_in_history::{DeviceOnNetwork, SignInHistory, hour_of};
use crate::records::user::User;
use crate::settings::RiskRules;

/// The facts about a sign-in by which its risk is judged.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The person who signs in: the actor if there is one, or else the user.
    pub person: &'a User,
    /// The person's sign-in history.
    pub history: &'a SignInHistory,
    /// The device and network of this sign-in.
    pub place: &'a DeviceOnNetwork,
    /// The times when the ticket was issued and when it expires, if there is a ticket.
    pub ticket: Option<(Time, Time)>,
    /// True if the person has a second factor.
    pub enrolled: bool,
    /// True if the ticket was meant for another address.
    pub address_mismatch: bool,
    /// True if somebody acts as somebody else.
    pub impersonation: bool,
    /// The present time.
    pub now: Time,
}

impl Circumstances<'_> {
    /// Returns true if they show `signal`.
    fn show(&self, signal: Signal, rules: &RiskRules) -> bool {
        let Self { person, history, place, now, .. } = *self;
        // A first device is learnt and not suspected, unless a factor is there to ask for: it was not shown here yet.
        let suspects = self.enrolled || !history.places.is_empty();
        let mut known = history.places.iter().filter(|k| is_within(k.last_at, rules.place_life, now));
        match signal {
            Signal::NewDevice => suspects && !known.any(|k| k.place == *place),
            Signal::NewNetwork => {
                !history.places.is_empty() && !known.any(|k| k.place.network == place.network)
            }
            Signal::OldTicket => self.ticket.is_some_and(|(issued, expires)| {
                let (age, life) = (issued.until(now), issued.until(expires));
                age.saturating_mul(100) >= life.saturating_mul(rules.old_ticket_percent.into())
            }),
            Signal::AddressMismatch => self.address_mismatch,
            Signal::RecentFailures => {
                let lately = history.failures.iter().filter(|at| is_within(**at, rules.failure_window, now));
                u32::try_from(lately.count()).unwrap_or(u32::MAX) >= rules.failures
            }
            Signal::LongAbsence => {
                history.last_sign_in(now).is_some_and(|last| last.until(now) >= rules.absence.into())
            }
            Signal::UnusualHour => {
                history.sign_ins() >= rules.known_sign_ins && history.sign_ins_around(hour_of(now)) == 0
            }
            Signal::Impersonation => self.impersonation,
            Signal::AccountChanged => {
                // That it was made is no change.
                person.updated_at > person.created_at
                    && person.updated_at.until(now) < rules.change_window.into()
            }
        }
    }
}

/// Returns true if `at` is less than `seconds` ago. What is dated ahead is not.
fn is_within(at: Time, seconds: u32, now: Time) -> bool {
    at.until(now) < seconds.into() && !at.is_ahead_of(now)
}

/// Judges a sign-in.
pub fn assess(rules: &RiskRules, circumstances: &Circumstances<'_>) -> Assessment {
    let seen = |signal: &Signal| {
        let weight = rules.weights.of(*signal);
        (weight > 0 && circumstances.show(*signal, rules)).then_some((*signal, weight))
    };
    add_up(rules, Signal::ALL.iter().filter_map(seen).collect())
}

/// Adds up `signals`.
fn add_up(rules: &RiskRules, signals: Vec<(Signal, u8)>) -> Assessment {
    let score = signals.iter().fold(0u8, |sum, (_, weight)| sum.saturating_add(*weight)).min(100);
    let level = match score {
        score if score >= rules.high => Level::High,
        score if score >= rules.medium => Level::Medium,
        _ => Level::Low,
    };
    Assessment { signals, score, level }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::policy::ticket_redemption::tests::user;
    use crate::records::sign_in_history::{DeviceMark, KnownPlace, Network};
    use crate::settings::Weights;
    use alloc::{format, vec};
    use proptest::prelude::*;

    /// Noon of a day in 2025.
    pub(crate) const NOON: Time = Time::from_unix(1_749_988_800);
    const DAY: u64 = 86_400;

    pub(crate) fn ago(seconds: u64) -> Time {
        Time::from_unix(NOON.unix() - seconds)
    }

    pub(crate) fn place(device: &str, address: &str) -> DeviceOnNetwork {
        DeviceOnNetwork {
            device: DeviceMark::of_device_id(device),
            network: Network::of(address.parse().unwrap()),
        }
    }

    /// A sign-in with nothing unusual about it, to be altered.
    #[derive(Clone)]
    pub(crate) struct Scene {
        pub(crate) person: User,
        pub(crate) history: SignInHistory,
        pub(crate) place: DeviceOnNetwork,
        pub(crate) ticket: Option<(Time, Time)>,
        pub(crate) enrolled: bool,
        pub(crate) address_mismatch: bool,
        pub(crate) impersonation: bool,
    }

    impl Scene {
        /// Alice at her laptop, where she has signed in 30 times about noon, yesterday last.
        pub(crate) fn usual() -> Self {
            let laptop = place("laptop", "192.0.2.1");
            let mut history =
                SignInHistory { places: vec![KnownPlace::new(laptop, ago(DAY))], ..SignInHistory::default() };
            history.hours[12] = 30;
            Self {
                person: user("alice"),
                history,
                place: laptop,
                ticket: Some((ago(10), ago(10).plus(300))),
                enrolled: false,
                address_mismatch: false,
                impersonation: false,
            }
        }

        pub(crate) fn circumstances(&self) -> Circumstances<'_> {
            Circumstances {
                person: &self.person,
                history: &self.history,
                place: &self.place,
                ticket: self.ticket,
                enrolled: self.enrolled,
                address_mismatch: self.address_mismatch,
                impersonation: self.impersonation,
                now: NOON,
            }
        }

        fn signals(&self) -> Vec<Signal> {
            let assessment = assess(&RiskRules::DEFAULT, &self.circumstances());
            assessment.signals.into_iter().map(|(signal, _)| signal).collect()
        }
    }

    type Alter = fn(&mut Scene);

    /// Each signal just short of its threshold, at it, and beyond.
    #[test]
    fn each_signal_and_its_threshold() {
        use Signal::{
            AccountChanged, AddressMismatch, Impersonation, LongAbsence, NewDevice, NewNetwork, OldTicket,
            RecentFailures, UnusualHour,
        };
        let table: &[(&str, Alter, &[Signal])] = &[
            ("as usual", |_| {}, &[]),
            ("the first device ever", |s| s.history = SignInHistory::default(), &[]),
            (
                "the first device ever, of somebody with a factor",
                |s| (s.history, s.enrolled) = (SignInHistory::default(), true),
                &[NewDevice],
            ),
            ("180 days less a second here", |s| age(s, 180 * DAY - 1), &[LongAbsence]),
            ("180 days here", |s| age(s, 180 * DAY), &[NewDevice, NewNetwork, LongAbsence]),
            ("another device here", |s| s.place = place("phone", "192.0.2.9"), &[NewDevice]),
            (
                "the same device elsewhere",
                |s| s.place = place("laptop", "192.0.3.1"),
                &[NewDevice, NewNetwork],
            ),
            ("another address of the network", |s| s.place = place("laptop", "192.0.2.254"), &[]),
            (
                "another place not seen for months",
                |s| s.history.places.push(KnownPlace::new(place("phone", "198.51.100.1"), ago(170 * DAY))),
                &[],
            ),
            ("by password", |s| s.ticket = None, &[]),
            ("79 % of the ticket's life", |s| s.ticket = Some((ago(237), ago(237).plus(300))), &[]),
            ("80 % of the ticket's life", |s| s.ticket = Some((ago(240), ago(240).plus(300))), &[OldTicket]),
            ("a ticket of a second", |s| s.ticket = Some((ago(0), ago(0).plus(1))), &[]),
            ("another address than was named", |s| s.address_mismatch = true, &[AddressMismatch]),
            ("two failures lately", |s| s.history.failures = vec![ago(1); 2], &[]),
            ("three failures lately", |s| s.history.failures = vec![ago(1); 3], &[RecentFailures]),
            (
                "three failures, one long ago",
                |s| s.history.failures = vec![ago(899), ago(899), ago(900)],
                &[],
            ),
            ("three failures just lately", |s| s.history.failures = vec![ago(899); 3], &[RecentFailures]),
            ("90 days less a second away", |s| s.history.places[0].last_at = ago(90 * DAY - 1), &[]),
            (
                "a place that was learnt by a clock that stood ahead",
                |s| s.history.places[0].last_at = NOON.plus(61),
                &[NewDevice, NewNetwork],
            ),
            (
                "failures that a clock counted that stood ahead",
                |s| s.history.failures = vec![NOON.plus(61); 4],
                &[],
            ),
            ("90 days away", |s| s.history.places[0].last_at = ago(90 * DAY), &[LongAbsence]),
            ("an hour early", |s| s.history.hours = hours(13, 20), &[]),
            ("an hour late", |s| s.history.hours = hours(11, 20), &[]),
            ("two hours early", |s| s.history.hours = hours(14, 20), &[UnusualHour]),
            ("two hours late", |s| s.history.hours = hours(10, 20), &[UnusualHour]),
            ("two hours late, of few known", |s| s.history.hours = hours(10, 19), &[]),
            ("acting as somebody else", |s| s.impersonation = true, &[Impersonation]),
            (
                "an account made just now",
                |s| (s.person.created_at, s.person.updated_at) = (ago(1), ago(1)),
                &[],
            ),
            ("an account changed just now", |s| s.person.updated_at = ago(1), &[AccountChanged]),
            (
                "an account changed a day ago less a second",
                |s| s.person.updated_at = ago(DAY - 1),
                &[AccountChanged],
            ),
            ("an account changed a day ago", |s| s.person.updated_at = ago(DAY), &[]),
            (
                "a clock that stood ahead when the account was changed",
                |s| s.person.updated_at = NOON.plus(DAY),
                &[AccountChanged],
            ),
        ];
        for (what, alter, expected) in table {
            let mut scene = Scene::usual();
            alter(&mut scene);
            assert_eq!(scene.signals(), *expected, "{what}");
        }
        let shown: Vec<Signal> = table.iter().flat_map(|(_, _, signals)| *signals).copied().collect();
        assert!(Signal::ALL.iter().all(|signal| shown.contains(signal)));
    }

    fn age(scene: &mut Scene, seconds: u64) {
        scene.history.places[0].last_at = ago(seconds);
    }

    fn hours(hour: usize, times: u32) -> [u32; 24] {
        let mut hours = [0; 24];
        hours[hour] = times;
        hours
    }

    #[test]
    fn a_score_has_a_level() {
        let rules = RiskRules::DEFAULT;
        for (weights, score, level) in [
            (&[][..], 0, Level::Low),
            (&[29], 29, Level::Low),
            (&[30], 30, Level::Medium),
            (&[30, 29], 59, Level::Medium),
            (&[30, 30], 60, Level::High),
            (&[60, 60], 100, Level::High),
            (&[200, 200], 100, Level::High),
        ] {
            let signals = weights.iter().map(|weight| (Signal::NewDevice, *weight)).collect();
            let made = add_up(&rules, signals);
            assert_eq!((made.score, made.level), (score, level), "{weights:?}");
        }
    }

    fn weights() -> impl Strategy<Value = Weights> {
        proptest::array::uniform9(0..=100u8).prop_map(|w| Weights {
            new_device: w[0],
            new_network: w[1],
            old_ticket: w[2],
            address_mismatch: w[3],
            recent_failures: w[4],
            long_absence: w[5],
            unusual_hour: w[6],
            impersonation: w[7],
            account_changed: w[8],
        })
    }

    /// The causes of each signal, on top of anything else.
    const CAUSES: [Alter; 9] = [
        |s| s.place = DeviceOnNetwork { device: place("phone", "192.0.2.1").device, ..s.place },
        |s| s.place = DeviceOnNetwork { network: place("x", "203.0.113.1").network, ..s.place },
        |s| s.ticket = Some((ago(299), ago(299).plus(300))),
        |s| s.address_mismatch = true,
        |s| s.history.failures = vec![ago(1); 5],
        |s| s.history.places[0].last_at = ago(100 * DAY),
        |s| s.history.hours = hours(2, 50),
        |s| s.impersonation = true,
        |s| s.person.updated_at = ago(1),
    ];

    proptest! {
        #[test]
        fn the_score_rises_with_every_signal(weights in weights(), causes in any::<[bool; 9]>(), added in 0..9usize) {
            let rules = RiskRules { weights, ..RiskRules::DEFAULT };
            let scene = |causes: [bool; 9]| {
                let mut scene = Scene::usual();
                for (cause, _) in CAUSES.iter().zip(causes).filter(|(_, is)| *is) {
                    cause(&mut scene);
                }
                assess(&rules, &scene.circumstances())
            };
            let mut more = causes;
            more[added] = true;
            let (before, after) = (scene(causes), scene(more));
            let gained = after.signals.iter().filter(|signal| !before.signals.contains(signal)).count();
            // A new network makes a new device of a known one.
            let is_there = causes[added] || added == 0 && causes[1];
            prop_assert!(gained > 0 || is_there || rules.weights.of(Signal::ALL[added]) == 0);
            prop_assert!(before.signals.iter().all(|signal| after.signals.contains(signal)));
            prop_assert!(after.score > before.score || gained == 0 || before.score == 100, "{before} then {after}");
            prop_assert!(after.score >= before.score && after.level >= before.level);
        }

        #[test]
        fn an_assessment_is_read_as_it_was_written(weights in weights(), causes in any::<[bool; 9]>()) {
            let mut scene = Scene::usual();
            for (cause, _) in CAUSES.iter().zip(causes).filter(|(_, is)| *is) {
                cause(&mut scene);
            }
            let made = assess(&RiskRules { weights, ..RiskRules::DEFAULT }, &scene.circumstances());
            prop_assert_eq!(Assessment::parse(&format!("{made}")), Some(made));
        }
    }
}
