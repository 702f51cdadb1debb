//! How much a sign-in looks like somebody else's: signals, each with a weight, added up.

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::codes::codes;
use crate::model::habit::{Habit, Place, hour_of};
use crate::model::user::User;
use crate::time::Time;

codes! {
    /// Something about a sign-in that an intruder's would have sooner than its owner's.
    Signal {
        /// A device, in its network, that this person has not signed in from, though they have from others.
        NewDevice = "new_device",
        /// A network that this person has not signed in from, though they have from others.
        NewNetwork = "new_network",
        /// Most of the ticket's life had passed.
        OldTicket = "old_ticket",
        /// The ticket was meant to be redeemed at another address.
        OtherAddress = "other_address",
        /// This person was refused several times lately.
        RecentFailures = "recent_failures",
        /// This person has not signed in for long.
        LongAbsence = "long_absence",
        /// An hour of the day at which this person, whose hours are known, never signs in.
        UnusualHour = "unusual_hour",
        /// Somebody acts as somebody else.
        Impersonation = "impersonation",
        /// The account was changed lately.
        AccountChanged = "account_changed",
    }
}

codes! {
    /// How high a risk is.
    Level {
        /// Nothing, or little, speaks against it.
        Low = "low",
        /// Something does.
        Medium = "medium",
        /// Much does.
        High = "high",
    }
}

/// What each signal weighs, 0 to 100; 0 switches it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// [`Signal::NewDevice`]
    pub new_device: u8,
    /// [`Signal::NewNetwork`]
    pub new_network: u8,
    /// [`Signal::OldTicket`]
    pub old_ticket: u8,
    /// [`Signal::OtherAddress`]
    pub other_address: u8,
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
    const fn of(&self, signal: Signal) -> u8 {
        match signal {
            Signal::NewDevice => self.new_device,
            Signal::NewNetwork => self.new_network,
            Signal::OldTicket => self.old_ticket,
            Signal::OtherAddress => self.other_address,
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
            other_address: 30,
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
        known_sign_ins: 20,
        change_window: 86_400,
    };
}

/// What is known of a sign-in when its risk is judged.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Who is at the keyboard: the actor, where somebody acts as somebody else.
    pub person: &'a User,
    /// From where and when they usually sign in.
    pub habit: &'a Habit,
    /// From where they do now.
    pub place: &'a Place,
    /// When the ticket was issued and when it would have expired, where there is one.
    pub ticket: Option<(Time, Time)>,
    /// Whether the ticket was meant for another address.
    pub other_address: bool,
    /// Whether somebody acts as somebody else.
    pub impersonation: bool,
    /// Now.
    pub now: Time,
}

impl Circumstances<'_> {
    /// Whether `signal` is to be seen. A person's first device is learnt, not suspected.
    fn show(&self, signal: Signal, rules: &RiskRules) -> bool {
        let Self { person, habit, place, now, .. } = *self;
        let known = &habit.places;
        match signal {
            Signal::NewDevice => !known.is_empty() && !known.iter().any(|k| k.place == *place),
            Signal::NewNetwork => {
                !known.is_empty() && !known.iter().any(|k| k.place.network == place.network)
            }
            Signal::OldTicket => self.ticket.is_some_and(|(issued, expires)| {
                let (age, life) = (issued.until(now), issued.until(expires));
                age.saturating_mul(100) >= life.saturating_mul(rules.old_ticket_percent.into())
            }),
            Signal::OtherAddress => self.other_address,
            Signal::RecentFailures => {
                let lately = habit.failures.iter().filter(|at| at.until(now) < rules.failure_window.into());
                u32::try_from(lately.count()).unwrap_or(u32::MAX) >= rules.failures
            }
            Signal::LongAbsence => {
                habit.last_sign_in().is_some_and(|last| last.until(now) >= rules.absence.into())
            }
            Signal::UnusualHour => {
                habit.sign_ins() >= rules.known_sign_ins && habit.sign_ins_around(hour_of(now)) == 0
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

/// A judged risk: every signal that was seen, with what it weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The signals with their weights, in the order of [`Signal::ALL`].
    pub signals: Vec<(Signal, u8)>,
    /// What the weights come to, at most 100.
    pub score: u8,
    /// How high that is.
    pub level: Level,
}

impl Assessment {
    /// Of signals that were seen.
    fn of(signals: Vec<(Signal, u8)>, rules: &RiskRules) -> Self {
        let score = signals.iter().fold(0u8, |sum, (_, weight)| sum.saturating_add(*weight)).min(100);
        let level = match score {
            score if score >= rules.high => Level::High,
            score if score >= rules.medium => Level::Medium,
            _ => Level::Low,
        };
        Self { signals, score, level }
    }

    /// The signal that weighs most; the first of several.
    pub fn strongest(&self) -> Option<Signal> {
        let heavier = |best: (Signal, u8), next: &(Signal, u8)| if next.1 > best.1 { *next } else { best };
        let mut signals = self.signals.iter();
        let first = *signals.next()?;
        Some(signals.fold(first, heavier).0)
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (score, level) = (words.next()?.parse().ok()?, Level::parse(words.next()?)?);
        let signals = words.map(|word| {
            let (signal, weight) = word.split_once('=')?;
            Some((Signal::parse(signal)?, weight.parse().ok()?))
        });
        Some(Self { signals: signals.collect::<Option<_>>()?, score, level })
    }
}

/// `55 medium new_device=40 new_network=15`
impl fmt::Display for Assessment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.score, self.level.as_str())?;
        self.signals.iter().try_for_each(|(signal, weight)| write!(f, " {}={weight}", signal.as_str()))
    }
}

impl Assessment {
    /// The signals alone, for people: `new_device 40, new_network 15`.
    pub fn reasons(&self) -> String {
        let reasons: Vec<String> = self
            .signals
            .iter()
            .map(|(signal, weight)| alloc::format!("{} {weight}", signal.as_str()))
            .collect();
        reasons.join(", ")
    }
}

/// Judges a sign-in.
pub fn assess(rules: &RiskRules, circumstances: &Circumstances<'_>) -> Assessment {
    let seen = |signal: &Signal| {
        let weight = rules.weights.of(*signal);
        (weight > 0 && circumstances.show(*signal, rules)).then_some((*signal, weight))
    };
    Assessment::of(Signal::ALL.iter().filter_map(seen).collect(), rules)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::habit::{DeviceMark, KnownPlace, Network};
    use crate::policy::sign_in::tests::user;
    use alloc::{format, vec};
    use proptest::prelude::*;

    /// Noon of a day in 2025.
    pub(crate) const NOON: Time = Time::from_unix(1_749_988_800);
    const DAY: u64 = 86_400;

    pub(crate) fn ago(seconds: u64) -> Time {
        Time::from_unix(NOON.unix() - seconds)
    }

    pub(crate) fn place(device: &str, address: &str) -> Place {
        Place { device: DeviceMark::of_device_id(device), network: Network::of(address.parse().unwrap()) }
    }

    /// A sign-in with nothing unusual about it, to be altered.
    #[derive(Clone)]
    pub(crate) struct Scene {
        pub(crate) person: User,
        pub(crate) habit: Habit,
        pub(crate) place: Place,
        pub(crate) ticket: Option<(Time, Time)>,
        pub(crate) other_address: bool,
        pub(crate) impersonation: bool,
    }

    impl Scene {
        /// Alice at her laptop, where she has signed in 30 times about noon, yesterday last.
        pub(crate) fn usual() -> Self {
            let laptop = place("laptop", "192.0.2.1");
            let mut habit =
                Habit { places: vec![KnownPlace { place: laptop, last_at: ago(DAY) }], ..Habit::default() };
            habit.hours[12] = 30;
            Self {
                person: user("alice"),
                habit,
                place: laptop,
                ticket: Some((ago(10), ago(10).plus(300))),
                other_address: false,
                impersonation: false,
            }
        }

        pub(crate) fn circumstances(&self) -> Circumstances<'_> {
            Circumstances {
                person: &self.person,
                habit: &self.habit,
                place: &self.place,
                ticket: self.ticket,
                other_address: self.other_address,
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
            AccountChanged, Impersonation, LongAbsence, NewDevice, NewNetwork, OldTicket, OtherAddress,
            RecentFailures, UnusualHour,
        };
        let table: &[(&str, Alter, &[Signal])] = &[
            ("as usual", |_| {}, &[]),
            ("the first device ever", |s| s.habit = Habit::default(), &[]),
            ("another device here", |s| s.place = place("phone", "192.0.2.9"), &[NewDevice]),
            (
                "the same device elsewhere",
                |s| s.place = place("laptop", "192.0.3.1"),
                &[NewDevice, NewNetwork],
            ),
            ("another address of the network", |s| s.place = place("laptop", "192.0.2.254"), &[]),
            (
                "a place not seen for a year, but known",
                |s| {
                    s.habit
                        .places
                        .push(KnownPlace { place: place("phone", "198.51.100.1"), last_at: ago(365 * DAY) })
                },
                &[],
            ),
            ("by password", |s| s.ticket = None, &[]),
            ("79 % of the ticket's life", |s| s.ticket = Some((ago(237), ago(237).plus(300))), &[]),
            ("80 % of the ticket's life", |s| s.ticket = Some((ago(240), ago(240).plus(300))), &[OldTicket]),
            ("a ticket of a second", |s| s.ticket = Some((ago(0), ago(0).plus(1))), &[]),
            ("another address than was named", |s| s.other_address = true, &[OtherAddress]),
            ("two failures lately", |s| s.habit.failures = vec![ago(1); 2], &[]),
            ("three failures lately", |s| s.habit.failures = vec![ago(1); 3], &[RecentFailures]),
            ("three failures, one long ago", |s| s.habit.failures = vec![ago(899), ago(899), ago(900)], &[]),
            ("three failures just lately", |s| s.habit.failures = vec![ago(899); 3], &[RecentFailures]),
            ("90 days less a second away", |s| s.habit.places[0].last_at = ago(90 * DAY - 1), &[]),
            ("90 days away", |s| s.habit.places[0].last_at = ago(90 * DAY), &[LongAbsence]),
            ("an hour early", |s| s.habit.hours = hours(13, 20), &[]),
            ("an hour late", |s| s.habit.hours = hours(11, 20), &[]),
            ("two hours early", |s| s.habit.hours = hours(14, 20), &[UnusualHour]),
            ("two hours late", |s| s.habit.hours = hours(10, 20), &[UnusualHour]),
            ("two hours late, of few known", |s| s.habit.hours = hours(10, 19), &[]),
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
            let made = Assessment::of(signals, &rules);
            assert_eq!((made.score, made.level), (score, level), "{weights:?}");
        }
    }

    #[test]
    fn the_strongest_signal_weighs_most_and_comes_first() {
        let of = |signals: &[(Signal, u8)]| Assessment::of(signals.to_vec(), &RiskRules::DEFAULT).strongest();
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(Signal::OldTicket, 5), (Signal::Impersonation, 6)]), Some(Signal::Impersonation));
        assert_eq!(of(&[(Signal::OldTicket, 6), (Signal::Impersonation, 6)]), Some(Signal::OldTicket));
    }

    fn weights() -> impl Strategy<Value = Weights> {
        proptest::array::uniform9(0..=100u8).prop_map(|w| Weights {
            new_device: w[0],
            new_network: w[1],
            old_ticket: w[2],
            other_address: w[3],
            recent_failures: w[4],
            long_absence: w[5],
            unusual_hour: w[6],
            impersonation: w[7],
            account_changed: w[8],
        })
    }

    /// What brings each signal about, on top of anything else.
    const CAUSES: [Alter; 9] = [
        |s| s.place = Place { device: place("phone", "192.0.2.1").device, ..s.place },
        |s| s.place = Place { network: place("x", "203.0.113.1").network, ..s.place },
        |s| s.ticket = Some((ago(299), ago(299).plus(300))),
        |s| s.other_address = true,
        |s| s.habit.failures = vec![ago(1); 5],
        |s| s.habit.places[0].last_at = ago(400 * DAY),
        |s| s.habit.hours = hours(2, 50),
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
